/* What is current of an app (model/current.h), from a mirror of /apps/. What pointers point to is
 * the mirror's. */
#ifndef OPERATOR_CURRENT_H
#define OPERATOR_CURRENT_H

#include "model/current.h"
#include "model/rollout.h"
#include "operator/mirror.h"

struct past {
    struct release_seen *items; /* all its releases, by number */
    size_t n;
};

void past_release(struct past *p);
void past_of(struct mirror *m, const char *app, struct past *ret);

struct rollouts {
    struct rollout_seen *items; /* by number */
    size_t n;
};

void rollouts_release(struct rollouts *r);
/* From a mirror of /rollouts/ as well. */
void rollouts_of(struct mirror *m, const char *app, struct rollouts *ret);

/* The wanted release; while nothing was ever live, the desired one even if it failed. NULL: nothing
 * was deployed. */
const struct release *current_release(struct mirror *m, const char *app);
/* The config variables in force. NULL: there are none. *ret_newest (may be NULL): the number of the
 * newest revision, 0 if there is none. */
const struct config_vars *current_config(struct mirror *m, const char *app, int64_t *ret_newest);

#endif
