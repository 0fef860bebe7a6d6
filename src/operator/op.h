/* An operator between its files; private to the room. */
#ifndef OPERATOR_OP_H
#define OPERATOR_OP_H

#include "operator/dirty.h"
#include "operator/leader.h"
#include "operator/operator.h"
#include "operator/writer.h"

/* Transactions and who waits for them, in order. */
struct writes {
    struct txn *txns;
    struct waiter {
        commit_fn *done; /* NULL: nobody */
        void *arg;
    } * waiters;
    size_t n, size;
};

struct op {
    const struct operator_desc *desc;
    const struct config *config;
    void *ctx;
    uv_loop_t loop;
    struct store *store; /* to read; what is written goes through the writer */
    struct writer *writer;
    struct tenure tenure;
    struct strv prefixes; /* of the nouns it watches, none within another, and the leader's key */
    struct mirror *mirror;
    struct dirty dirty;
    struct watch *watch; /* on all prefixes: what one transaction wrote is seen in one pass */
    uv_poll_t watch_poll;
    uv_prepare_t before_wait; /* runs the pass once all that is ready was taken in */
    uv_idle_t not_idle;       /* keeps the loop from waiting while a pass is due */
    uv_timer_t alarm;
    uv_signal_t term, interrupt;
    int64_t wake_at; /* mono ms; INT64_MAX: never */
    bool due, failed;
    struct writes queue; /* for the end of the pass */
    struct flush *sent;  /* on its way, or not mirrored yet; no pass meanwhile. NULL: none */
};

/* Makes every subject dirty and has a pass look at them. */
void op_touch_all(struct op *op);
/* Whatever the watch has goes into the mirror. */
void op_take_in(struct op *op);
/* operator_commit, whoever leads. */
void op_queue(struct op *op, struct txn *t, commit_fn *done, void *arg);
/* Gives what is queued to the writer. */
void op_send(struct op *op);
/* The mirror has moved on: perhaps it has what was sent. */
void op_settle(struct op *op);

#endif
