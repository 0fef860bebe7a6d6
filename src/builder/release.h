/* How the end of a build is written down: its status, and for a success the release, all in one
 * transaction. */
#ifndef BUILDER_RELEASE_H
#define BUILDER_RELEASE_H

#include "builder/job.h"
#include "operator/operator.h"

/* Queues the transaction for the end of the pass. One that loses against somebody else's is queued
 * again by the pass that follows. */
void release_commit(struct op *op, const struct build *b, const struct job_result *r);
/* Whether nobody waits for it any more: it was cancelled, or the leash is gone that who waited
 * held.
 */
bool build_unwanted(struct op *op, const struct build *b);
/* Queues the build's new state; `error` may be NULL. */
void build_state_put(struct op *op, const char *id, enum build_state state, const char *error);

#endif
