/* The folder a build's container sees as /davit, its to write to (a builder's: out/ only):
 *     lib/…              our scripts
 *     buildpacks/000/…   copies of the buildpacks, in order
 *     env/NAME           config variables
 *     site/…             what static.json says, for nginx (build/site.h)
 *     facts/NAME         what we know of the source already, for our own buildpacks
 *     layers             for Dockerfiles: the layers that need not be written
 *     out/…              what the scripts say of the result; out/failed why there is none
 * It holds secrets, and is gone when the build ends. */
#ifndef BUILDER_STAGE_H
#define BUILDER_STAGE_H

#include "builder/container.h"

struct buildpack {
    char *name; /* "nodejs", or its URL */
    char *dir;  /* on this machine; copied for the run */
};

struct stage {
    char *dir;
};

/* For the build `id`. packs: list of struct buildpack. facts: or NULL. owner: whom it belongs to,
 * inside. */
int stage_make(const struct config *c, const char *id, const struct list *packs,
               const struct map *vars, const struct map *facts, uid_t owner, struct stage *ret,
               struct err *err);
void stage_release(struct stage *s);

/* The first line of a file; *ret stays what it is if there is none. */
void stage_line(const struct stage *s, const char *path, char **ret);
/* Runs the container with the stage as /davit, `cache` as /cache and the way to registries added to
 * *c, its binds and its env. ERR_UNPROCESSABLE with what out/failed says when it failed. */
int stage_run(const struct stage *s, const struct container *c, const char *cache,
              struct output *out, struct err *err);

#endif
