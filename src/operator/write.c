/* Writing: what is queued goes to the writer as one group; the next pass begins when the mirror has
 * it. */
#include "base/log.h"
#include "base/time.h"
#include "operator/op.h"

enum { RETRY_MS = 500 }; /* gives what is full time to empty */

struct flush {
    struct job job;
    struct op *op;
    struct writes writes;
    int *results;
    int r;            /* negative: nothing was written */
    int64_t revision; /* that the mirror must reach */
    struct err err;
    bool done;
};

void op_queue(struct op *op, struct txn *t, commit_fn *done, void *arg)
{
    struct writes *q = &op->queue;
    if (q->n == q->size) {
        q->size = MAX(q->size * 2, (size_t)16);
        q->txns = xrealloc(q->txns, q->size * sizeof(*q->txns));
        q->waiters = xrealloc(q->waiters, q->size * sizeof(*q->waiters));
    }
    q->waiters[q->n] = (struct waiter){done, arg};
    q->txns[q->n++] = *t;
    *t = (struct txn){0};
}

void operator_commit(struct op *op, struct txn *t, commit_fn *done, void *arg)
{
    leader_fence(op, t);
    op_queue(op, t, done, arg);
}

void operator_txn(struct op *op, struct txn *t) { operator_commit(op, t, NULL, NULL); }

static int64_t mirrored_rev(struct op *op, const char *key)
{
    struct mirror_iter i = mirror_iter(op->mirror, key);
    return mirror_next(&i) && streq(i.key, key) ? i.rev : 0;
}

static void put(struct op *op, const char *key, const struct schema *s, const void *value,
                int64_t lease)
{
    struct txn t = {0};
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    model_encode(s, value, &json);
    txn_expect(&t, key, mirrored_rev(op, key));
    txn_put(&t, key, buf_str(&json), lease);
    operator_txn(op, &t);
}

void operator_put(struct op *op, const char *key, const struct schema *s, const void *value)
{
    put(op, key, s, value, 0);
}

void operator_hold(struct op *op, const char *key, const struct schema *s, const void *value)
{
    put(op, key, s, value, operator_lease(op));
}

void operator_delete(struct op *op, const char *key)
{
    struct txn t = {0};
    txn_expect(&t, key, mirrored_rev(op, key));
    txn_delete(&t, key);
    operator_txn(op, &t);
}

/* In the writer's thread. */
static void commit(struct job *j, struct store *s)
{
    struct flush *f = (struct flush *)j;
    f->r = store_txn_many(s, f->writes.txns, f->writes.n, f->results, &f->revision, &f->err);
}

static void on_committed(struct job *j)
{
    struct flush *f = (struct flush *)j;
    f->done = true;
    if (f->r < 0) {
        log_error("writing to the store: %s", f->err.msg);
        f->revision = 0;
    }
    op_take_in(f->op);
}

void op_send(struct op *op)
{
    struct flush *f = xcalloc(1, sizeof(*f));
    *f = (struct flush){.job = {.work = commit, .done = on_committed},
                        .op = op,
                        .writes = op->queue,
                        .results = xcalloc(op->queue.n, sizeof(*f->results))};
    op->queue = (struct writes){0};
    op->sent = f;
    writer_do(op->writer, &f->job);
}

static void tell(const struct flush *f, size_t i)
{
    const struct waiter *w = &f->writes.waiters[i];
    int r = f->r < 0 ? f->r : f->results[i];
    if (w->done)
        w->done(w->arg, r, &f->err);
    else if (f->r == 0 && r < 0 && r != -ERR_CONFLICT)
        log_error("a write was refused: %s", err_code_text((enum err_code) - r));
}

void op_settle(struct op *op)
{
    struct flush *f = op->sent;
    if (!f || !f->done || !op->watch || watch_revision(op->watch) < f->revision)
        return;
    op->sent = NULL;
    dirty_settle(&op->dirty, f->r == 0);
    if (f->r < 0) /* the next pass plans the same again */
        operator_wake_at(op, time_mono_ms() + RETRY_MS);
    if (op->due)
        operator_poke(op);
    for (size_t i = 0; i < f->writes.n; i++) {
        tell(f, i);
        txn_release(&f->writes.txns[i]);
    }
    free(f->writes.txns);
    free(f->writes.waiters);
    free(f->results);
    free(f);
}
