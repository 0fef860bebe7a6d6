#include "release/release.h"

#include "base/log.h"
#include "base/time.h"
#include "operator/current.h"
#include "operator/operator.h"
#include "release/plan.h"

/* One app in one pass. Everything that follows for it is one transaction, which stands only on what
 * was desired when it was decided: an app that was destroyed meanwhile gets nothing. */
struct app_pass {
    struct op *op;
    const char *app;
    struct rollouts rollouts;
    struct txn txn;
};

static int64_t revision_of(const struct app_pass *p, const char *key, const struct schema *s)
{
    int64_t rev;
    mirror_get(operator_mirror(p->op), key, s, &rev);
    return rev;
}

static void put(struct app_pass *p, const char *key, const struct schema *s, const void *value)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    model_encode(s, value, &json);
    txn_expect(&p->txn, key, revision_of(p, key, s));
    txn_put(&p->txn, key, buf_str(&json), 0);
}

static void put_verdict(struct app_pass *p, const struct verdict *v)
{
    char now[TIME_TEXT_LEN + 1];
    _cleanup_free_ char *key = key_release_status(p->app, v->release);
    const struct release_status s = {.state = v->state,
                                     .since = now,
                                     .reason = (char *)v->reason,
                                     .log = v->from ? v->from->log : (struct strv){0}};
    time_rfc3339(time_wall_us(), now);
    log_info("%s v%lld is %s%s%s", p->app, (long long)v->release, release_state_names[v->state],
             v->reason ? ": " : "", v->reason ? v->reason : "");
    put(p, key, &release_status_schema, &s);
}

static const struct rollout *rollout_now(const struct app_pass *p, int64_t release)
{
    for (size_t i = 0; i < p->rollouts.n; i++)
        if (p->rollouts.items[i].rollout->release == release)
            return p->rollouts.items[i].rollout;
    return NULL;
}

static void put_rollouts(struct app_pass *p, const struct decision *d)
{
    for (size_t i = 0; i < d->n_rollouts; i++) {
        const struct rollout *now = rollout_now(p, d->rollouts[i].release);
        _cleanup_free_ char *key = key_rollout(p->app, d->rollouts[i].release);
        if (!now || !model_equal(&rollout_schema, now, &d->rollouts[i]))
            put(p, key, &rollout_schema, &d->rollouts[i]);
    }
}

static bool stays(const struct decision *d, int64_t release)
{
    for (size_t i = 0; i < d->n_rollouts; i++)
        if (d->rollouts[i].release == release)
            return true;
    return false;
}

static void delete_rollouts(struct app_pass *p, const struct decision *d)
{
    for (size_t i = 0; i < p->rollouts.n; i++) {
        int64_t release = p->rollouts.items[i].rollout->release;
        _cleanup_free_ char *key = key_rollout(p->app, release);
        _cleanup_free_ char *status = key_rollout_status(p->app, release);
        if (stays(d, release))
            continue;
        txn_delete(&p->txn, key);
        txn_delete(&p->txn, status);
    }
}

static void reconcile_app(struct op *op, const char *app, const struct desired *desired)
{
    struct app_pass p = {.op = op, .app = app};
    struct past past = {0};
    struct decision d = {0};
    _cleanup_free_ char *key = key_desired(app);
    past_of(operator_mirror(op), app, &past);
    rollouts_of(operator_mirror(op), app, &p.rollouts);
    const struct release_input in = {.desired = desired,
                                     .releases = past.items,
                                     .n_releases = past.n,
                                     .rollouts = p.rollouts.items,
                                     .n_rollouts = p.rollouts.n};
    release_decide(&in, &d);
    for (size_t i = 0; i < d.n_verdicts; i++)
        put_verdict(&p, &d.verdicts[i]);
    put_rollouts(&p, &d);
    delete_rollouts(&p, &d);
    if (p.txn.n) {
        txn_expect(&p.txn, key, revision_of(&p, key, &desired_schema));
        operator_txn(op, &p.txn);
    }
    decision_release(&d);
    rollouts_release(&p.rollouts);
    past_release(&past);
}

static void reconcile(struct op *op, void *ctx, int64_t now)
{
    (void)ctx;
    (void)now;
    for (const char *app; (app = operator_take(op));) {
        _cleanup_free_ char *key = key_desired(app);
        const struct desired *d = mirror_get(operator_mirror(op), key, &desired_schema, NULL);
        if (d)
            reconcile_app(op, app, d);
    }
}

static int release_main(const struct config *c) { return operator_run(&release_operator, c, NULL); }

const struct operator_desc release_operator = {
    .name = "release",
    .what = "decides which release of an app runs, when it is live and when it failed",
    .scope = SCOPE_CLUSTER,
    .as_user = true,
    .main = release_main,
    .watches = (const struct schema *const[]){&app_schema, &rollout_schema, NULL},
    .subject = subject_app,
    .reconcile = reconcile,
};
