/* Carrying out plans. Private to the room. */
#ifndef GATEWAY_ACT_H
#define GATEWAY_ACT_H

#include "gateway/haproxy.h"
#include "gateway/plan.h"
#include "operator/operator.h"

/* Does the actions in order and keeps *s true. Returns 1 if there is reason to plan again at once
 * (servers were stopped, or HAProxy was reloaded), 0 if not, negative: HAProxy didn't do as told,
 * and *s has to be read anew. What drained is told to the store only when the plan needs no other
 * round. */
int act(struct op *op, struct haproxy *h, struct state *s, const struct plan *p, struct err *err);
/* The state a fresh HAProxy should start with. */
void act_on_paper(struct state *s, const struct wanted *w);

#endif
