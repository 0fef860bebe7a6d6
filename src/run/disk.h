/* The writable layers of instances, <state>/instances/A/TYPE/ID. They may be large: what goes is
 * moved aside at once, to .gone/A.RANDOM, so that its name is free, and removed by a worker. */
#ifndef RUN_DISK_H
#define RUN_DISK_H

#include <uv.h>

#include "base/err.h"
#include "model/config.h"

struct disk {
    uv_loop_t *loop;
    char *instances, *gone;   /* folders */
    struct removal *removals; /* that workers are at */
    void (*removed)(void *ctx);
    void *ctx;
};

/* Makes the folders; goes on with what was set aside when we last ended. *d stays where it is. */
int disk_open(struct disk *d, uv_loop_t *loop, const struct config *c, struct err *err);
void disk_set_aside(struct disk *d, const char *app, const char *folder);
/* Whether a worker is at something of this app, or at what was set aside without its name. */
bool disk_is_removing(const struct disk *d, const char *app);
/* Removes layers that are nobody's: made before the power went, with the record of it still
 * unwritten. `known` says whether there is such an instance. */
void disk_sweep(struct disk *d,
                bool (*known)(void *ctx, const char *app, const char *type, const char *id),
                void *ctx);

#endif
