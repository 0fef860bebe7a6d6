/* Within plan: one pass over an app, and what becomes of one of its instances. What becomes of its
 * releases, and with that which instances should be there, is decided in plan.c. Pure as plan.h.
 *
 * i is an index into the pass's units. What is decided about a unit goes to out->next (the state
 * its record gets) and to out->actions. */
#ifndef RUN_PLAN_UNIT_H
#define RUN_PLAN_UNIT_H

#include "run/plan.h"

/* The input, what is shared, what comes out, and the two releases it is about. */
struct pass {
    const struct plan_input *in;
    struct plan_pool *pool;
    struct plan *out;
    const struct release_seen *want; /* should run; NULL: nothing */
    const struct release_seen *keep; /* serves until `want` is live; NULL: none */
    int want_state;                  /* as this pass leaves it */
};

/* A new action, about a unit or (-1) about none. */
struct action *pass_act(struct pass *p, enum action_type type, int unit);

/* Starting, ready or crashed: not on its way out. */
bool unit_active(int state);
bool unit_is(const struct unit *u, const struct process *of, int64_t release);
/* The state its record should have, before anything is decided about it. */
int unit_state(const struct unit *u);

/* The first of its kind; the latter only if there is room for one more that boots. */
void unit_start_now(struct pass *p, const struct process *of, int64_t index);
void unit_start_new(struct pass *p, const struct process *of, int64_t index);
/* One nobody looks after, once the pause since the last attempt is over. */
void unit_start_again(struct pass *p, int i);
/* Keeps one that should run running. */
void unit_sustain(struct pass *p, int i);
/* One step on the way out. Only what may get requests has to be drained. */
void unit_retire(struct pass *p, int i);
/* Whether a unit of a release that is not live yet ends its hopes, and why. */
bool unit_hopeless(struct pass *p, int i, char reason[REASON_MAX]);

#endif
