/* What an operator holds while it is alive: a key with its lease. For one of scope node that is
 * /nodes/N/OPERATOR, which tells others that it is there. For one of scope cluster it is
 * /leaders/OPERATOR: who put it is the leader, and only the leader has passes. Its revision is the
 * fence: each of the leader's transactions compares it, so what a former leader still writes,
 * however late, is refused. Private to the room. */
#ifndef OPERATOR_LEADER_H
#define OPERATOR_LEADER_H

#include "operator/writer.h"

struct op;

struct tenure {
    char *key;
    char *place;   /* boot, node and root: only one process can be this operator here (root_lock) */
    int64_t lease; /* 0: none just now */
    bool held;     /* when the mirror was last looked at */
    bool busy, renewing; /* the writer has a job for us */
    uv_timer_t renew;
};

/* Before the mirror is there. A lease that can't be had now is got later. */
void leader_init(struct op *op);
/* The mirror has changed: stand for election, take over from our dead predecessor, notice that we
 * were elected or deposed. */
void leader_look(struct op *op);
bool leader_may_run(const struct op *op);
/* Makes a transaction void if we don't lead. */
void leader_fence(const struct op *op, struct txn *t);
/* Lets go, behind what was sent. */
void leader_resign(struct op *op);
void leader_end(struct op *op); /* at the very end */

#endif
