#include "operator/leader.h"

#include <limits.h>

#include "base/log.h"
#include "base/time.h"
#include "model/nouns.h"
#include "operator/op.h"
#include "os/file.h"

/* A leader is to be replaced soon; what a node holds is better missed for longer than taken from
 * one that only was slow. Each lease is renewed RENEWALS times before it would end. */
enum { NODE_LEASES = 3, RENEWALS = 3 };

static bool is_cluster(const struct op *op) { return op->desc->scope == SCOPE_CLUSTER; }

static int64_t ttl_s(const struct op *op)
{
    return op->config->lease * (is_cluster(op) ? 1 : NODE_LEASES);
}

const char *operator_node(struct op *op)
{
    static char name[HOST_NAME_MAX + 1];
    if (*op->config->node)
        return op->config->node;
    if (!*name && gethostname(name, sizeof(name) - 1) < 0)
        return "node";
    return name;
}

int64_t operator_lease(struct op *op) { return op->tenure.lease; }

static int64_t held_rev(const struct op *op)
{
    const struct tenure *t = &op->tenure;
    int64_t rev;
    return t->lease && mirror_lease(op->mirror, t->key, &rev) == t->lease ? rev : 0;
}

bool leader_may_run(const struct op *op) { return !is_cluster(op) || op->tenure.held; }

void leader_fence(const struct op *op, struct txn *txn)
{
    int64_t rev = held_rev(op);
    if (is_cluster(op))
        txn_expect(txn, op->tenure.key, rev ? rev : INT64_MAX);
}

/* --- the lease ------------------------------------------------------------------------------- */

struct lease_job {
    struct job job;
    struct op *op;
    int64_t lease;
    int r;
    struct err err;
};

static void start(struct op *op, void (*work)(struct job *, struct store *),
                  void (*done)(struct job *), int64_t lease)
{
    struct lease_job *j = xcalloc(1, sizeof(*j));
    *j = (struct lease_job){.job = {.work = work, .done = done}, .op = op, .lease = lease};
    writer_do(op->writer, &j->job);
}

static void grant(struct job *job, struct store *s)
{
    struct lease_job *j = (struct lease_job *)job;
    j->r = store_lease_grant(s, ttl_s(j->op), &j->lease, &j->err);
}

static void keep(struct job *job, struct store *s)
{
    struct lease_job *j = (struct lease_job *)job;
    j->r = store_lease_keepalive(s, j->lease, &j->err);
}

static void give_back(struct job *job, struct store *s)
{
    struct lease_job *j = (struct lease_job *)job;
    j->r = store_lease_revoke(s, j->lease, &j->err);
}

static void on_granted(struct job *job)
{
    struct lease_job *j = (struct lease_job *)job;
    struct op *op = j->op;
    op->tenure.busy = false;
    if (j->r == 0) {
        op->tenure.lease = j->lease;
        leader_look(op);
    } else {
        log_warning("getting a lease: %s", j->err.msg); /* renewing tries again */
    }
    free(j);
}

static void on_kept(struct job *job)
{
    struct lease_job *j = (struct lease_job *)job;
    struct op *op = j->op;
    op->tenure.renewing = false;
    if (j->r == -ERR_NOT_FOUND && op->tenure.lease == j->lease)
        op->tenure.lease = 0;
    else if (j->r < 0)
        log_warning("renewing a lease: %s", j->err.msg);
    leader_look(op);
    free(j);
}

static void on_revoked(struct job *job)
{
    struct lease_job *j = (struct lease_job *)job;
    j->op->tenure.busy = false;
    if (j->r == 0) /* else it has ended by itself, and the watch brings that the key is gone */
        op_take_in(j->op);
    free(j);
}

static void on_renew(uv_timer_t *timer)
{
    struct op *op = timer->data;
    struct tenure *t = &op->tenure;
    if (!t->lease)
        return leader_look(op);
    if (t->renewing)
        return;
    t->renewing = true;
    start(op, keep, on_kept, t->lease);
}

/* --- the key --------------------------------------------------------------------------------- */

static void on_put(void *arg, int r, const struct err *err)
{
    struct op *op = arg;
    op->tenure.busy = false;
    if (r == -ERR_NOT_FOUND)
        op->tenure.lease = 0;
    if (r == 0 || r == -ERR_NOT_FOUND || r == -ERR_CONFLICT)
        leader_look(op);
    else
        log_warning("putting %s: %s", op->tenure.key, err->msg); /* renewing tries again */
}

static void encode(struct op *op, struct buf *ret)
{
    char since[TIME_TEXT_LEN + 1];
    char *place = op->tenure.place, *node = (char *)operator_node(op);
    time_rfc3339(time_wall_us(), since);
    if (is_cluster(op))
        model_encode(&leader_schema, &(struct leader){.node = node, .place = place, .since = since},
                     ret);
    else
        model_encode(&node_schema, &(struct node){.name = node, .place = place, .since = since},
                     ret);
}

static void put(struct op *op)
{
    struct txn txn = {0};
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    encode(op, &json);
    txn_expect(&txn, op->tenure.key, 0);
    txn_put(&txn, op->tenure.key, buf_str(&json), op->tenure.lease);
    op_queue(op, &txn, on_put, op);
}

/* Whether who has the key can only be a dead predecessor of ours. */
static bool is_ours(struct op *op)
{
    const struct leader *l = NULL;
    const struct node *n = NULL;
    if (is_cluster(op))
        l = mirror_get(op->mirror, op->tenure.key, &leader_schema, NULL);
    else
        n = mirror_get(op->mirror, op->tenure.key, &node_schema, NULL);
    return (l && streq(l->place, op->tenure.place)) || (n && streq(n->place, op->tenure.place));
}

static void notice(struct op *op)
{
    bool held = held_rev(op) != 0;
    if (held == op->tenure.held)
        return;
    op->tenure.held = held;
    if (!is_cluster(op))
        return;
    log_info(held ? "leads" : "leads no more");
    if (held) /* others may have written what we were about to */
        op_touch_all(op);
}

void leader_look(struct op *op)
{
    struct tenure *t = &op->tenure;
    notice(op);
    if (t->held || t->busy)
        return;
    int64_t rev;
    int64_t lease = mirror_lease(op->mirror, t->key, &rev);
    if (rev && !is_ours(op))
        return; /* somebody else's; the watch says when it is gone */
    t->busy = true;
    if (rev)
        start(op, give_back, on_revoked, lease);
    else if (!t->lease)
        start(op, grant, on_granted, 0);
    else
        put(op);
}

void leader_resign(struct op *op)
{
    if (op->tenure.lease)
        start(op, give_back, on_revoked, op->tenure.lease);
}

/* --- life ------------------------------------------------------------------------------------ */

void leader_end(struct op *op)
{
    free(op->tenure.key);
    free(op->tenure.place);
}

static char *place_of(struct op *op)
{
    _cleanup_(buf_release) struct buf boot = BUF_CAP(64);
    file_read("/proc/sys/kernel/random/boot_id", &boot, NULL);
    struct str id = str_trim(buf_str(&boot));
    return xasprintf("%.*s %s:%s", (int)id.len, id.ptr, operator_node(op), op->config->root);
}

void leader_init(struct op *op)
{
    struct tenure *t = &op->tenure;
    struct err err;
    t->key =
        is_cluster(op) ? key_leader(op->desc->name) : key_node(operator_node(op), op->desc->name);
    t->place = place_of(op);
    if (store_lease_grant(op->store, ttl_s(op), &t->lease, &err) < 0)
        log_warning("getting a lease: %s", err.msg);
    uv_timer_init(&op->loop, &t->renew);
    t->renew.data = op;
    uint64_t every = (uint64_t)ttl_s(op) * 1000 / RENEWALS;
    uv_timer_start(&t->renew, on_renew, every, every);
}
