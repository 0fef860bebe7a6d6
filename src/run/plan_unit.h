/* Within plan: one pass over an app, and what becomes of one of its instances. Which instances
 * should be there is decided in plan.c. Pure as plan.h.
 *
 * i is an index into the pass's units. What is decided about a unit goes to out->next (the state
 * its record gets) and to out->actions. */
#ifndef RUN_PLAN_UNIT_H
#define RUN_PLAN_UNIT_H

#include "run/plan.h"

/* The input, what is shared, what comes out. */
struct pass {
    const struct plan_input *in;
    struct plan_pool *pool;
    struct plan *out;
};

/* A new action, about a unit or (-1) about none. */
struct action *pass_act(struct pass *p, enum action_type type, int unit);

/* Starting, ready or crashed: not on its way out. */
bool unit_active(int state);
/* The state its record should have, before anything is decided about it. */
int unit_state(const struct unit *u);

/* The first of its kind, if there is room for one more that boots. */
void unit_start_new(struct pass *p, const struct rollout *r, const char *type, int64_t index);
/* One nobody looks after, once the pause since the last attempt is over. */
void unit_start_again(struct pass *p, int i);
/* Keeps one that should run running; live: it is never given up. */
void unit_sustain(struct pass *p, int i, bool live);
/* One step on the way out. Only what may get requests has to be drained. */
void unit_retire(struct pass *p, int i);
/* Whether a unit will never get ready, and why. */
bool unit_hopeless(struct pass *p, int i, char reason[REASON_MAX]);
/* Why one that can't be started can't. */
const char *unit_start_error(const struct unit *u);

#endif
