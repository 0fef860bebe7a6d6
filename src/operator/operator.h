/* The skeleton every operator stands on: connect, list, watch; on every change, wake-up or poke one
 * pass of `reconcile`, which compares what should be with what is and acts; what it wrote is
 * committed together at the end of the pass. A pass must be correct from any state: after kill -9,
 * after a lost event, after a full list.
 *
 * One thread with a libuv loop; blocking work goes to uv_queue_work on owned copies, writes to the
 * store to a thread of their own: a pass begins when the mirror has what the one before wrote. */
#ifndef OPERATOR_OPERATOR_H
#define OPERATOR_OPERATOR_H

#include <uv.h>

#include "operator/descriptor.h"
#include "operator/mirror.h"

/* Runs until SIGTERM or SIGINT (both 0) or a fatal error (logged; 1). Returns the exit status. */
int operator_run(const struct operator_desc *d, const struct config *c, void *ctx);

uv_loop_t *operator_loop(struct op *op);
const struct config *operator_config(struct op *op);
struct mirror *operator_mirror(struct op *op);
/* For reads past the mirror. */
struct store *operator_store(struct op *op);

/* The name of this machine among those of its store: a setting, or its host name. */
const char *operator_node(struct op *op);
/* The lease that lasts as long as this process does: keys put with it vanish some seconds after a
 * process that is killed, at once if it is told to end or started again. 0: there is none just now.
 */
int64_t operator_lease(struct op *op);

/* Another pass soon: something outside the store changed. Any number of calls make one pass. */
void operator_poke(struct op *op);
/* Another pass at the latest at mono_ms; the earliest one asked for counts. */
void operator_wake_at(struct op *op, int64_t mono_ms);

/* Passes that look only at what changed. Dirty are all subjects at first and after a fresh list,
 * then those of which a key changed or that were touched. A pass takes them one by one:
 *     for (const char *app; (app = operator_take(op));) …
 * If what the pass writes can't be written, they are dirty again. The name is valid until the pass
 * is over. */
const char *operator_take(struct op *op);
/* Something outside the store changed of it: dirty, and another pass soon. */
void operator_touch(struct op *op, const char *subject);
/* The same at mono_ms, unless it is taken before; the earliest one asked for counts. */
void operator_touch_at(struct op *op, const char *subject, int64_t mono_ms);
/* For `subject` where all prefixes are of apps: /apps/A/…, /instances/A/… are of A. */
bool subject_app(const char *key, struct str *ret);

/* Queue a write for the end of the pass: it happens only if the key is still as the mirror has it.
 * One that lost against somebody else is dropped: the watch brings the new value and with it
 * another pass. */
void operator_put(struct op *op, const char *key, const struct schema *s, const void *value);
/* The same, for as long as this process is alive (operator_lease, which must be there). */
void operator_hold(struct op *op, const char *key, const struct schema *s, const void *value);
void operator_delete(struct op *op, const char *key);
/* Queue a whole transaction (moved from *t) for the end of the pass, all or nothing. */
void operator_txn(struct op *op, struct txn *t);
/* The same, for who wants to know what became of it: `done` gets 0 or -code, on the loop, when the
 * mirror has what it wrote. What is queued while others are on their way is committed as a group.
 * Not called any more once the operator ends. */
typedef void commit_fn(void *arg, int r, const struct err *err);
void operator_commit(struct op *op, struct txn *t, commit_fn *done, void *arg);

#endif
