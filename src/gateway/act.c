#include "gateway/act.h"

#include "base/log.h"
#include "base/time.h"

static void tell_drained(struct op *op, const struct action *a)
{
    _cleanup_free_ char *key = key_instance(a->name, "web", a->value);
    const struct instance *now = mirror_get(operator_mirror(op), key, &instance_schema, NULL);
    if (!now || now->state != INSTANCE_DRAINING)
        return;
    _cleanup_(instance_release) struct instance drained = {0};
    model_copy(&instance_schema, now, &drained);
    drained.state = INSTANCE_DRAINED;
    free(drained.since);
    drained.since = time_now_text();
    operator_put(op, key, &instance_schema, &drained);
    log_info("%s %s: drained", a->name, a->value);
}

/* Only servers that serve go into the new worker; what drains does so in the former one. */
static int grow(struct haproxy *h, struct state *s, size_t pool, struct err *err)
{
    s->pool = pool;
    log_info("reloading HAProxy for %zu apps with instances", pool);
    int r = haproxy_reload(h, s, err);
    return r < 0 ? r : haproxy_observe(h, s, err);
}

static void say(const struct action *a)
{
    if (a->type == ACTION_SET || a->type == ACTION_UNSET)
        log_info("%s %s: %s %s", action_names[a->type], table_files[a->table], a->name,
                 a->value ? a->value : "");
    else
        log_info("%s %s/%s%s%s", action_names[a->type], a->backend, a->name, a->value ? " " : "",
                 a->value ? a->value : "");
}

/* A server that STOP could delete at once needs nothing more. */
static bool is_over(const struct state *s, const struct action *a)
{
    return (a->type == ACTION_CUT || a->type == ACTION_DELETE) &&
           !state_server(s, a->backend, a->name);
}

int act(struct op *op, struct haproxy *h, struct state *s, const struct plan *p, struct err *err)
{
    bool again = false;
    for (size_t i = 0; i < p->n; i++)
        again |= p->actions[i].type == ACTION_STOP;
    for (size_t i = 0; i < p->n; i++) {
        const struct action *a = &p->actions[i];
        int r = 0;
        if (a->type == ACTION_GROW) {
            r = grow(h, s, a->count, err);
            return r < 0 ? r : 1;
        }
        if (a->type == ACTION_DRAINED) {
            if (!again)
                tell_drained(op, a);
            continue;
        }
        if (is_over(s, a))
            continue;
        if (a->type != ACTION_DELETE)
            say(a);
        if ((r = haproxy_act(h, s, a, err)) < 0)
            return r;
    }
    return again;
}

void act_on_paper(struct state *s, const struct wanted *w)
{
    bool grown;
    do {
        struct plan plan = {0};
        plan_make(w, s, 0, &plan);
        grown = plan.n && plan.actions[0].type == ACTION_GROW;
        for (size_t i = 0; i < (grown ? 1 : plan.n); i++)
            state_apply(s, &plan.actions[i]);
        plan_release(&plan);
    } while (grown);
}
