/* What the last compile of an app depended on, as a compiler's depfile: when none of it changed,
 * its result is taken again and nothing is started at all. */
#ifndef BUILDER_RECORD_H
#define BUILDER_RECORD_H

#include "builder/compile.h"

struct record {
    char *buildpacks;  /* digest of the buildpacks' names and contents */
    struct map stacks; /* recipe → its top layer, of those it was compiled and runs on */

    struct map depends; /* as in struct compiled, → digest */
    bool reusable;      /* depends is all it depended on */
    char *source;       /* layer of the last source tree: unchanged files are linked from there */
    struct strv run;    /* layers below the source */
    char *title;        /* and the rest of struct compiled */
    char *compiled;
    struct map processes, env;
};

void record_release(struct record *r);
/* A deep copy into *ret, which is empty or a record: what it held is released. */
void record_copy(const struct record *from, struct record *ret);
/* From the file at `path`; nothing there, or nothing that can be understood, is an empty record. */
void record_load(const char *path, struct record *ret);
int record_save(const char *path, const struct record *r, struct err *err);

/* Digests what `depends` names, in the source tree `dir` and the variables, into *ret. False if it
 * names something that can't be: then the result depends on everything. */
bool depends_digest(const struct strv *depends, const char *dir, const struct map *vars,
                    struct map *ret);
/* Whether everything r->depends names still has the digest it had. */
bool depends_unchanged(const struct record *r, const char *dir, const struct map *vars);

#endif
