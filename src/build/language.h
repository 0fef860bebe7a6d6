/* Which of our buildpacks a source tree is for, and the layers it needs to run and to compile. */
#ifndef BUILD_LANGUAGE_H
#define BUILD_LANGUAGE_H

#include "base/str.h"

struct language {
    const char *name;    /* of its folder below buildpacks/ */
    const char *title;   /* "Node.js" */
    const char *markers; /* files any of which tells it, separated by blanks */
};

/* The first whose markers are there, NULL if none is. */
const struct language *language_detect(const char *dir);
const struct language *language_named(const char *name);
/* "package.json (Node.js), requirements.txt, … (Python), …": what is looked for. */
void language_list(struct buf *ret);

/* Names of recipes (build/stack.h). */
struct needs {
    char *run, *compile; /* chains to run and to compile on */
    struct strv tools;   /* further layers for compiling */
    char *node;          /* or NULL: the versions of node it runs with, none of them Debian's */
};

void needs_release(struct needs *n);
/* What the tree in `dir` needs of this language. ERR_INVALID for a manifest that can't be read. */
int language_needs(const struct language *l, const char *dir, struct needs *ret, struct err *err);

/* Whether the buildpack surely says nothing of what to run: then there must be a Procfile. */
bool language_runs_nothing(const struct language *l, const char *dir);

#endif
