/* What nobody needs any more: images of releases too old to roll back to, folders of old builds,
 * caches of destroyed apps and more of the others' than there is room for. Never in the way of a
 * build. */
#ifndef BUILDER_HOUSEKEEPING_H
#define BUILDER_HOUSEKEEPING_H

#include "builder/job.h"
#include "operator/operator.h"

enum {
    BUILDS_KEPT = 20,              /* finished ones an app keeps, with their output */
    HOUSEKEEPING_DELAY_MS = 10000, /* after a build, for all builds within that time together */
    LAYER_GRACE_S = 30,            /* longer than any step between a layer and its image's name */
};

/* What to keep and what to remove, on owned copies for a worker. */
struct chores {
    struct strv images;      /* digests that stay */
    struct strv apps;        /* that there are */
    struct strv builds;      /* ids whose folders stay, */
    struct strv gone;        /* and of those that the store has just forgotten */
    struct strv destroyed;   /* apps whose last traces go now, */
    struct strv dropped;     /* and digests of their images */
    int64_t dropped_grace_s; /* for builds of others that run */
    bool failed;             /* something of the destroyed ones is still there */
    int64_t grace_s;         /* layers that came or were used since may be of a build that runs */
};

void chores_release(struct chores *c);
/* A destroyed app, of which nothing runs or is built any more. */
void chores_add_destroyed(struct chores *c, struct op *op, const char *app);
/* Looks through the mirror; queues the deletion of the store's keys of old builds. */
int chores_gather(struct op *op, struct chores *ret, struct err *err);
/* The blocking part. What fails is logged and tried again next time; sets `failed`. */
void chores_do(const struct config *c, struct image_store *images, struct chores *chores);

#endif
