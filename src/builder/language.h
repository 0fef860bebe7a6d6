/* Which of our buildpacks a source tree is for, and the layers it needs to run and to compile. */
#ifndef BUILDER_LANGUAGE_H
#define BUILDER_LANGUAGE_H

#include "builder/semver.h"
#include "model/codec.h"

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

/* What the layers of an app stand on: the suite of debian_suite, or another. */
struct base {
    const char *dot;    /* "", or the end of its recipes' names */
    struct semver node; /* Debian's; only the recipes of debian_suite have it */
};

/* Names of recipes (build/stack.h). */
struct needs {
    char *run, *compile; /* chains to run and to compile on */
    struct strv tools;   /* further layers for both: what a start command may name, too */
    struct strv ignored; /* files that say how to install the app, but do not count */
    bool npm, installs;  /* npm belongs to it; and is needed for compiling */
    char *node;          /* or NULL: the versions of node it runs with, none of them Debian's */
    struct map facts;    /* for the buildpack's scripts (build/stage.h) */
};

void needs_release(struct needs *n);
/* What the tree in `dir` needs of this language; NULL: of a buildpack from elsewhere. ERR_INVALID
 * for a manifest that can't be read. */
int language_needs(const struct language *l, const char *dir, const struct base *base,
                   struct needs *ret, struct err *err);

/* Whether the buildpack surely says nothing of what to run: then there must be a Procfile. */
bool language_runs_nothing(const struct language *l, const char *dir);

#endif
