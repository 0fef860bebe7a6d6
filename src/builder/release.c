#include "builder/release.h"

#include "base/time.h"
#include "operator/current.h"

static void put(struct txn *t, const char *key, int64_t rev, const struct schema *s,
                const void *value)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    model_encode(s, value, &json);
    txn_expect(t, key, rev);
    txn_put(t, key, buf_str(&json), 0);
}

static void put_status(struct op *op, struct txn *t, const char *id, const struct build_status *s)
{
    _cleanup_free_ char *key = key_build_status(id);
    int64_t rev;
    mirror_get(operator_mirror(op), key, &build_status_schema, &rev);
    put(t, key, rev, &build_status_schema, s);
    if (s->state == BUILD_RUNNING)
        return;
    _cleanup_free_ char *leash = key_leash(id);
    txn_delete(t, leash);
}

bool build_unwanted(struct op *op, const struct build *b)
{
    _cleanup_free_ char *leash = key_leash(b->id);
    return b->cancel || !mirror_get(operator_mirror(op), leash, &leash_schema, NULL);
}

void build_state_put(struct op *op, const char *id, enum build_state state, const char *error)
{
    struct txn t = {0};
    _cleanup_(build_status_release) struct build_status s = {
        .state = (int)state, .since = time_now_text(), .error = error ? xstrdup(error) : NULL};
    put_status(op, &t, id, &s);
    operator_txn(op, &t);
}

static char *describe(const struct build *b)
{
    if (b->description && *b->description)
        return xstrdup(b->description);
    if (b->commit && *b->commit)
        return xasprintf("Deploy %.7s", b->commit);
    return b->image && *b->image ? xasprintf("Deploy %s", b->image) : xstrdup("Deploy");
}

/* Variables that app.json asked for become a config revision of their own. Returns the revision the
 * release goes with. */
static int64_t put_config(struct op *op, struct txn *t, const struct build *b,
                          const struct map *wanted)
{
    int64_t newest;
    const struct config_vars *now = current_config(operator_mirror(op), b->app, &newest);
    _cleanup_(config_vars_release) struct config_vars next = {
        .number = newest + 1, .created = time_now_text(), .by = b->by ? xstrdup(b->by) : NULL};
    bool any = false;
    if (now)
        map_copy(&next.vars, &now->vars);
    for (size_t i = 0; i < wanted->n; i++) {
        if (map_get(&next.vars, wanted->items[i].name)) /* somebody set it meanwhile */
            continue;
        map_set(&next.vars, wanted->items[i].name, wanted->items[i].value);
        any = true;
    }
    if (!any)
        return now ? now->number : 0;
    _cleanup_free_ char *key = key_config_vars(b->app, next.number);
    put(t, key, 0, &config_vars_schema, &next);
    return next.number;
}

static void put_release(struct op *op, struct txn *t, const struct build *b,
                        const struct job_result *r, int64_t number)
{
    _cleanup_(release_release) struct release release = {
        .number = number,
        .created = time_now_text(),
        .by = b->by ? xstrdup(b->by) : NULL,
        .description = describe(b),
        .image = xstrdup(r->image),
        .commit = b->commit ? xstrdup(b->commit) : NULL,
        .config = put_config(op, t, b, &r->new_vars)};
    for (size_t i = 0; i < r->processes.n; i++)
        model_copy(&process_schema, list_at(&r->processes, struct process, i),
                   list_add(&release.processes, sizeof(struct process)));
    _cleanup_free_ char *key = key_release(b->app, number);
    put(t, key, 0, &release_schema, &release);
}

static void commit_success(struct op *op, const struct build *b, const struct job_result *r)
{
    _cleanup_free_ char *key = key_desired(b->app);
    int64_t rev;
    const struct desired *now = mirror_get(operator_mirror(op), key, &desired_schema, &rev);
    if (!now) /* destroyed; the pass that sees the app gone will say so */
        return build_state_put(op, b->id, BUILD_FAILED, "the app was destroyed");
    _cleanup_(desired_release) struct desired next = {0};
    model_copy(&desired_schema, now, &next);
    next.release = release_next(now);
    _cleanup_(build_status_release) struct build_status s = {.state = BUILD_SUCCEEDED,
                                                             .since = time_now_text(),
                                                             .image = xstrdup(r->image),
                                                             .release = next.release};
    struct txn t = {0};
    put_release(op, &t, b, r, next.release);
    put(&t, key, rev, &desired_schema, &next);
    put_status(op, &t, b->id, &s);
    operator_txn(op, &t);
}

void release_commit(struct op *op, const struct build *b, const struct job_result *r)
{
    if (build_unwanted(op, b))
        build_state_put(op, b->id, BUILD_CANCELLED, NULL);
    else if (r->state == BUILD_SUCCEEDED)
        commit_success(op, b, r);
    else
        build_state_put(op, b->id, (enum build_state)r->state, r->error);
}
