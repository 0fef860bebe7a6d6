/* When stacks are looked after: by the operator every `stack_refresh` hours, in a worker and at
 * the lowest priority, and by `davitd stacks --refresh`. What is known of them is kept in the store
 * (/stacks/NAME). */
#ifndef BUILDER_REFRESHER_H
#define BUILDER_REFRESHER_H

#include "builder/refresh.h"
#include "operator/operator.h"

struct refresher {
    struct op *op;
    struct image_store *images;
    struct list found; /* of struct stack: what the worker brought */
    struct err why;    /* and why it failed */
    bool running, done;
    bool complained;        /* the last look failed too: not said again */
    int64_t earliest;       /* mono ms: not before */
    struct timespec listed; /* when the names in the image store last changed, as published */
    struct cancel cancel;
    volatile bool cancelled;
    uv_work_t work;
};

/* `images` outlives it. */
void refresher_init(struct refresher *f, struct op *op, struct image_store *images);
/* A part of the operator's pass. now: time_mono_ms(). */
void refresher_pass(struct refresher *f, int64_t now);
/* Has a worker that is at it end soon. */
void refresher_stop(struct refresher *f);

/* When the next look is due, wall µs; INT64_MAX: never. `checked` and `made` are the newest of all
 * stacks, 0: none. Pure. */
int64_t refresh_due(int64_t checked, int64_t made, int64_t hours);
/* Takes over into `found`, one of /stacks/, what was known `before` and is still so. Pure. */
void refresh_merge(struct stack *found, const struct stack *before);

#endif
