/* Images by Dockerfile: Buildah in a container of ours, where it is root of a user namespace and
 * nobody on the host, under the limits of every build. */
#ifndef BUILDER_DOCKERFILE_H
#define BUILDER_DOCKERFILE_H

#include "builder/stack.h"

struct dockerfile {
    const struct stacks *stacks;
    const char *id, *app;   /* of the build */
    const char *file;       /* "Dockerfile" */
    const char *source;     /* diff id of the source's layer */
    const struct map *vars; /* for RUN --mount=type=secret,id=NAME; never build arguments */
};

/* "Dockerfile", "Containerfile", or NULL if the tree in `dir` has neither. */
const char *dockerfile_find(const char *dir);
/* *ret_digest: the image's, imported. *ret_healthcheck: what HEALTHCHECK says, as in struct image,
 * or NULL. ERR_UNPROCESSABLE "failed to build the Dockerfile". */
int dockerfile_build(const struct dockerfile *d, char **ret_digest, char **ret_healthcheck,
                     struct err *err);

#endif
