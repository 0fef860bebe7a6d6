/* What a build has to know of package.json before anything runs. The buildpack is told the same as
 * facts, so that none of its own scripts needs the app's node, which may be of any age. */
#ifndef BUILDER_NODE_H
#define BUILDER_NODE_H

#include "builder/semver.h"
#include "model/codec.h"

enum { PACKAGE_JSON_MAX = 1 << 20 };

struct node_package {
    char *engine;     /* engines.node, NULL if it does not say */
    char *manager;    /* packageManager, "pnpm@8.15.4", NULL if it does not say */
    bool installs;    /* it has dependencies or a step that npm has to run */
    struct map facts; /* name → value; none without: see buildpacks/nodejs/bin/compile */
};

void node_package_release(struct node_package *p);
/* Parses the text of a package.json. ERR_INVALID names line and column. */
int node_package_parse(struct str text, struct node_package *ret, struct err *err);
/* The one in `dir`. */
int node_package_read(const char *dir, struct node_package *ret, struct err *err);
/* The recipe of the package manager that is to install it: by packageManager, else by the lockfile
 * in `dir`; npm without either. ERR_UNPROCESSABLE where that can't be told or had. */
int node_manager(const char *dir, const struct node_package *p, char **ret_recipe, struct err *err);
/* The recipe of the npm that goes with this version of node: a newer npm does not run on it. */
const char *node_npm(struct semver node);

#endif
