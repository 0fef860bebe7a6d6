#include "base/array.h"
#include "gateway/rows.h"

/* What is worked out on the way: which backend of the pool each app has. */
struct home {
    const char *backend;
    struct str app;
};

struct planner {
    const struct wanted *want;
    const struct state *have;
    int64_t now_us;
    struct plan *plan;
    struct home *homes; /* sorted by app */
    size_t n_homes;
    bool *used; /* by the number of a backend in the pool */
    size_t next_free;
    size_t missing; /* backends the pool lacks */
};

/* --- actions --------------------------------------------------------------------------------- */

static struct action *add(struct planner *p, enum action_type type)
{
    struct action *a = array_add(p->plan->actions, p->plan->n);
    *a = (struct action){.type = type};
    return a;
}

static void add_server(struct planner *p, enum action_type type, const char *backend,
                       const char *name, const char *value)
{
    struct action *a = add(p, type);
    a->backend = xstrdup(backend);
    a->name = xstrdup(name);
    a->value = value ? xstrdup(value) : NULL;
}

/* value NULL: the key goes. */
static void add_row(struct planner *p, enum table_id table, const char *key, const char *value)
{
    struct action *a = add(p, value ? ACTION_SET : ACTION_UNSET);
    a->table = table;
    a->name = xstrdup(key);
    a->value = value ? xstrdup(value) : NULL;
}

static void add_drained(struct planner *p, const struct want_instance *i)
{
    struct action *a = add(p, ACTION_DRAINED);
    a->name = xstrdup(i->app);
    a->value = xstrdup(i->id);
}

/* --- which backend an app has ------------------------------------------------------------------
 */

static int compare_homes(const void *a, const void *b)
{
    const struct home *x = a, *y = b;
    int r = memcmp(x->app.ptr, y->app.ptr, MIN(x->app.len, y->app.len));
    return r ? r : (x->app.len > y->app.len) - (x->app.len < y->app.len);
}

/* Whether the plan is about that app. */
static bool concerns(const struct planner *p, struct str app)
{
    return !p->want->partial || wanted_has_app(p->want, app);
}

static void note_home(struct planner *p, struct str app, const char *backend)
{
    size_t number = pool_number(backend);
    if (number && number <= p->have->pool)
        p->used[number] = true;
    if (concerns(p, app))
        p->homes[p->n_homes++] = (struct home){backend, app};
}

/* The table says it, or for an app that answers with an error, the servers it still has. */
static void find_homes(struct planner *p)
{
    const struct state *s = p->have;
    const struct table *apps = &s->tables[TABLE_APPS];
    p->homes = xcalloc(s->n_servers + apps->n + 1, sizeof(*p->homes));
    p->used = xcalloc(s->pool + 1, sizeof(*p->used));
    for (size_t i = 0; i < apps->n; i++) {
        if (pool_number(apps->rows[i].value))
            note_home(p, str_of(apps->rows[i].key), apps->rows[i].value);
    }
    for (size_t i = 0; i < s->n_servers; i++) {
        struct str app, process, id;
        const char *backend = s->servers[i].backend;
        bool repeats = i && streq(backend, s->servers[i - 1].backend);
        if (!repeats && server_name_parts(str_of(s->servers[i].name), &app, &process, &id) &&
            !(pool_number(backend) <= s->pool && p->used[pool_number(backend)]))
            note_home(p, app, backend);
    }
    if (p->n_homes)
        qsort(p->homes, p->n_homes, sizeof(*p->homes), compare_homes);
}

static const char *home_of(const struct planner *p, const char *app)
{
    struct home key = {.app = str_of(app)}, *found;
    found = bsearch(&key, p->homes, p->n_homes, sizeof(*p->homes), compare_homes);
    return found ? found->backend : NULL;
}

/* A backend nobody has: "s7", the caller's. NULL: the pool has none left. */
static char *take_backend(struct planner *p)
{
    while (p->next_free <= p->have->pool && p->used[p->next_free])
        p->next_free++;
    if (p->next_free > p->have->pool) {
        p->missing++;
        return NULL;
    }
    return xasprintf("s%zu", p->next_free++);
}

/* --- apps --------------------------------------------------------------------------------------
 */

/* Restarted after a crash counts as crashed until it is ready: H10, not "still starting". */
enum gateway_error plan_error(const struct want_instance *instances, size_t n)
{
    bool crashed = false, starting = false;
    for (size_t i = 0; i < n; i++) {
        const struct want_instance *v = &instances[i];
        if (v->state == INSTANCE_CRASHED || (v->state == INSTANCE_STARTING && v->restarts))
            crashed = true;
        else if (v->state == INSTANCE_STARTING)
            starting = true;
    }
    return starting ? GATEWAY_H20 : crashed ? GATEWAY_H10 : GATEWAY_H14;
}

static void plan_server(struct planner *p, const char *backend, const struct want_instance *i)
{
    _cleanup_free_ char *name = server_name(i->app, i->index, i->id);
    _cleanup_free_ char *address = xasprintf("%s:%lld", i->ip, (long long)i->port);
    const struct server *v = state_server(p->have, backend, name);
    if (!v || v->former) {
        add_server(p, ACTION_ADD, backend, name, address);
        return;
    }
    if (v->stopped)
        add_server(p, ACTION_START, backend, name, address);
    else if (!streq(v->address, address))
        add_server(p, ACTION_ADDRESS, backend, name, address);
}

static bool can_serve(const struct want_instance *i)
{
    return i->state == INSTANCE_READY && i->ip && *i->ip && i->port > 0;
}

static void plan_app(struct planner *p, const struct want_app *app)
{
    size_t n, ready = 0;
    const struct want_instance *instances = wanted_instances(p->want, str_of(app->name), &n);
    for (size_t i = 0; i < n; i++)
        ready += can_serve(&instances[i]);
    _cleanup_free_ char *taken = NULL;
    const char *target = gateway_error_code(plan_error(instances, n));
    if (ready) {
        const char *backend = home_of(p, app->name);
        if (!backend)
            backend = taken = take_backend(p);
        for (size_t i = 0; backend && i < n; i++) {
            if (can_serve(&instances[i]))
                plan_server(p, backend, &instances[i]);
        }
        target = backend ? backend : gateway_error_code(GATEWAY_H20);
    }
    if (app->maintenance)
        target = gateway_error_code(GATEWAY_H80);
    const char *now = table_get(&p->have->tables[TABLE_APPS], app->name);
    if (!now || !streq(now, target))
        add_row(p, TABLE_APPS, app->name, target);
}

/* A pool that grows reloads HAProxy: rarely, so by doubling. */
static void plan_growth(struct planner *p)
{
    if (!p->missing)
        return;
    size_t count = MAX(p->have->pool, (size_t)1);
    while (count < p->have->pool + p->missing)
        count *= 2;
    struct action a = {.type = ACTION_GROW, .count = count};
    add(p, ACTION_GROW);
    struct plan *plan = p->plan;
    memmove(&plan->actions[1], &plan->actions[0], (plan->n - 1) * sizeof(a));
    plan->actions[0] = a;
}

/* --- hosts -------------------------------------------------------------------------------------
 */

/* Both sides are sorted: one walk. Adds the rows to be set, or with `gone` those to be deleted. */
static void merge(struct planner *p, enum table_id id, const struct want_rows *want, bool gone)
{
    const struct table *have = &p->have->tables[id];
    for (size_t i = 0, k = 0; i < want->n || k < have->n;) {
        const struct want_row *w = i < want->n ? &want->rows[i] : NULL;
        const struct row *h = k < have->n ? &have->rows[k] : NULL;
        int order = !w ? 1 : !h ? -1 : strcmp(w->key, h->key);
        if (order > 0 && gone)
            add_row(p, id, h->key, NULL);
        if (order <= 0 && !gone && (order < 0 || !streq(w->app, h->value)))
            add_row(p, id, w->key, w->app);
        i += order <= 0;
        k += order >= 0;
    }
}

static void plan_hosts(struct planner *p)
{
    _cleanup_(want_rows_release) struct want_rows hosts, wild;
    want_rows_collect(p->want, &hosts, &wild);
    merge(p, TABLE_HOSTS, &hosts, false);
    merge(p, TABLE_WILD, &wild, false);
    merge(p, TABLE_HOSTS, &hosts, true);
    merge(p, TABLE_WILD, &wild, true);
    const struct table *apps = &p->have->tables[TABLE_APPS];
    for (size_t i = 0; i < apps->n; i++) {
        if (!wanted_has_app(p->want, str_of(apps->rows[i].key)))
            add_row(p, TABLE_APPS, apps->rows[i].key, NULL);
    }
}

/* --- servers that are to go --------------------------------------------------------------------
 */

/* No new requests at once; those that run may end. */
static void plan_draining(struct planner *p, const struct server *v, const struct want_instance *i)
{
    if (!v->stopped) {
        add_server(p, ACTION_STOP, v->backend, v->name, NULL);
    } else if (v->requests == 0) {
        add_drained(p, i);
        add_server(p, ACTION_DELETE, v->backend, v->name, NULL);
    } else if (p->now_us >= i->since_us + p->want->drain_us) {
        add_server(p, ACTION_CUT, v->backend, v->name, NULL);
    }
}

/* What ran on it has crashed, is being stopped by `run`, or is gone. Its connections end by
 * themselves as long as there is something to end them; requests among them may just be on their
 * way to another instance, and a cut would hit those too. */
static void plan_gone(struct planner *p, const struct server *v, const struct want_instance *i)
{
    if (!v->stopped)
        add_server(p, ACTION_STOP, v->backend, v->name, NULL);
    if (v->requests != 0 && (!i || i->state == INSTANCE_STOPPED))
        add_server(p, ACTION_CUT, v->backend, v->name, NULL);
    if (v->stopped)
        add_server(p, ACTION_DELETE, v->backend, v->name, NULL);
}

static void plan_leaving(struct planner *p)
{
    for (size_t i = 0; i < p->have->n_servers; i++) {
        const struct server *v = &p->have->servers[i];
        struct str app, process, id;
        if (server_name_parts(str_of(v->name), &app, &process, &id) && !concerns(p, app))
            continue;
        const struct want_instance *instance = wanted_instance(p->want, v->name);
        if (instance && can_serve(instance) && wanted_has_app(p->want, str_of(instance->app)))
            continue;
        if (instance && instance->state == INSTANCE_DRAINING)
            plan_draining(p, v, instance);
        else
            plan_gone(p, v, instance);
    }
}

/* A draining instance that HAProxy doesn't know has no requests. */
static void plan_unknown_draining(struct planner *p)
{
    for (size_t i = 0; i < p->want->n_instances; i++) {
        const struct want_instance *v = &p->want->instances[i];
        if (v->state != INSTANCE_DRAINING)
            continue;
        _cleanup_free_ char *name = server_name(v->app, v->index, v->id);
        const char *backend = home_of(p, v->app);
        if (!backend || !state_server(p->have, backend, name))
            add_drained(p, v);
    }
}

void plan_make(const struct wanted *w, const struct state *s, int64_t now_us, struct plan *ret)
{
    struct planner p = {.want = w, .have = s, .now_us = now_us, .plan = ret, .next_free = 1};
    find_homes(&p);
    for (size_t i = 0; i < w->n_apps; i++)
        plan_app(&p, &w->apps[i]);
    plan_growth(&p);
    if (!w->partial)
        plan_hosts(&p);
    plan_leaving(&p);
    plan_unknown_draining(&p);
    free(p.homes);
    free(p.used);
}
