/* Which releases of an app run, from what was asked for and what its engine says. Pure: no clock,
 * no store, no engine.
 *
 * The release that is wanted is the desired one, unless it failed or was overtaken: then the newest
 * live one. Its release phase runs first, once; then its instances are started beside what runs;
 * once all of them (of every type) are ready it becomes live and everything else goes. A release
 * that is not live yet fails when its engine says that it will never be; then the live one goes on
 * as if nothing had been. Until either, the live one stays just as it is. A restart or another
 * formation changes the rollout of the wanted release; a live one stays live. */
#ifndef RELEASE_PLAN_H
#define RELEASE_PLAN_H

#include "model/current.h"
#include "model/rollout.h"

struct release_input {
    const struct desired *desired;
    const struct release_seen *releases; /* by number */
    size_t n_releases;
    const struct rollout_seen *rollouts; /* by number */
    size_t n_rollouts;
};

/* A release's new state. */
struct verdict {
    int64_t release;
    int state;                         /* enum release_state */
    const char *reason;                /* of a failure; the input's, as is the next; NULL: none */
    const struct rollout_status *from; /* whose log lines go with it */
};

struct decision {
    struct verdict *verdicts; /* one a release at most */
    size_t n_verdicts;
    struct rollout rollouts[2]; /* all that should be, by no order; others go */
    size_t n_rollouts;
};

/* *ret is zeroed by the caller and released by decision_release. */
void release_decide(const struct release_input *in, struct decision *ret);
void decision_release(struct decision *d);

#endif
