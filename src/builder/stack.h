/* Stacks and runtimes: layers made of Debian's packages, each once on a machine, shared by all
 * apps.
 *
 * A recipe is a list of packages on top of another recipe; the bottom one is made with mmdebstrap:
 *     stack-run            what every instance stands on
 *     runtime-nodejs-18    …and Node.js
 *     stack-build          stack-run and compilers
 *     compile-python-3     …and what installing Python packages needs
 *     stack-run.trixie     what stands beside it for apps that need something of another suite
 *     node-20.11.1         node of the npm registry, for the versions Debian does not have
 *     tool-npm             npm, likewise; Debian's own npm is four hundred packages
 * It is made when it is first needed, by whoever needs it first; others who need it meanwhile wait.
 * The image store's ref of the same name holds the chain of layers. A recipe that changed, or whose
 * parent was made anew, is made anew. */
#ifndef BUILDER_STACK_H
#define BUILDER_STACK_H

#include "builder/container.h"
#include "builder/recipe.h"

struct stacks {
    const struct config *config;
    struct image_store *images;
    const struct cancel *cancel; /* or NULL */
    struct output *out;          /* "-----> Preparing the Node.js 18 runtime (once)" */
};

/* The layers of the recipe `name`, bottom first, into *ret, which is empty. Makes what is missing.
 * ERR_NOT_FOUND if there is no such recipe. */
int stack_layers(const struct stacks *s, const char *name, struct strv *ret, struct err *err);

/* For build/refresh.h. Whether the chain of the recipe is there, in *ret, which is empty. */
bool stack_ready(const struct stacks *s, const struct recipe *r, struct strv *ret);
/* Only one makes "stacks" at a time, and one looks for what to "refresh": until *ret is closed,
 * that is us. ERR_CANCELLED. */
int stack_lock(const struct stacks *s, const char *what, int *ret, struct err *err);
/* Under the lock: makes the layer of the recipe on `parent`, under the name `ref`. */
int stack_make(const struct stacks *s, const struct recipe *r, const struct strv *parent,
               const char *ref, char **ret_diff_id, struct err *err);

/* The name of the recipe of the newest node in an npm range; asks the npm registry. */
int stack_find_node(const struct config *c, const char *range, char **ret, struct err *err);

#endif
