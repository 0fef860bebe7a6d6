/* Telling the store which instances get requests: /routing/A is what a deploy waits for. */
#ifndef GATEWAY_ROUTING_H
#define GATEWAY_ROUTING_H

#include "gateway/plan.h"
#include "operator/operator.h"

/* Queues a write for each app whose routing in the store isn't what HAProxy does, and for those
 * gone.
 */
void routing_report(struct op *op, const struct wanted *w, const struct state *s);

#endif
