/* The source tree of a build as a layer: app/… of the image. */
#ifndef BUILDER_SOURCE_H
#define BUILDER_SOURCE_H

#include "builder/container.h"

struct source {
    char *diff_id; /* of its layer */
    char *dir;     /* the layer's folder app/ */
};

void source_release(struct source *s);
/* Unpacks the tar that the descriptor `archive` reads and seals it. `last`: the diff id of the
 * app's source layer before, from which unchanged files are linked, or NULL. */
int source_unpack(const struct config *c, struct image_store *images, int archive, const char *last,
                  struct source *ret, struct err *err);

#endif
