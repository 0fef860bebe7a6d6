/* What the store wants of the gateway, drawn from the mirror for one pass. */
#ifndef GATEWAY_WORLD_H
#define GATEWAY_WORLD_H

#include "gateway/plan.h"
#include "model/config.h"
#include "operator/mirror.h"

struct world {
    struct wanted wanted; /* points into the mirror and `names` */
    struct strv names;
};

/* Names HAProxy could misread are left out; the api lets none in. `only`: these apps; NULL: all. */
void world_read(struct mirror *m, const struct config *c, const struct strv *only,
                struct world *ret);
void world_release(struct world *w);

#endif
