#include "gateway/gateway.h"

#include <linux/capability.h>

#include "base/log.h"
#include "base/time.h"
#include "gateway/act.h"
#include "gateway/log.h"
#include "gateway/routing.h"
#include "gateway/world.h"
#include "operator/remains.h"
#include "os/file.h"

enum {
    POOL_START = 64,
    ROUNDS_MAX = 8,  /* plans carried out in a row in one pass */
    POLL_MIN_MS = 2, /* between counts of the requests of what drains, doubling up to … */
    POLL_MAX_MS = 100,
    RENEW_MS = 5000,   /* after a reload for new settings failed */
    RETRY_MS = 1000,   /* after HAProxy failed to start or to obey */
    LOG_BATCH_MS = 10, /* log lines are gathered for so long */
};

struct gateway {
    const struct config *config;
    struct op *op;
    struct haproxy haproxy;
    struct state state;
    bool known;       /* `state` is what HAProxy has */
    int64_t renew_at; /* when to see whether its settings are today's; INT64_MAX: they are */
    int64_t poll_ms;
    struct router_log *log;
    uv_poll_t log_poll;
    uv_timer_t log_timer;
    uv_poll_t *master_poll, *worker_poll; /* NULL: not watched */
};

/* --- what happens outside --------------------------------------------------------------------- */

static void on_log(uv_poll_t *poll, int status, int events);

static bool app_exists(void *ctx, struct str app)
{
    struct gateway *g = ctx;
    _cleanup_free_ char *name = xstrndup(app.ptr, app.len), *key = key_app(name);
    return mirror_get(operator_mirror(g->op), key, &app_schema, NULL) != NULL;
}

static void on_log_batch(uv_timer_t *timer)
{
    struct gateway *g = timer->data;
    router_log_read(g->log);
    uv_poll_start(&g->log_poll, UV_READABLE, on_log);
}

static void on_log(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct gateway *g = poll->data;
    uv_poll_stop(poll);
    uv_timer_start(&g->log_timer, on_log_batch, LOG_BATCH_MS, 0);
}

static void free_handle(uv_handle_t *handle) { free(handle); }

static void unwatch(uv_poll_t **poll)
{
    if (*poll)
        uv_close((uv_handle_t *)*poll, free_handle);
    *poll = NULL;
}

/* HAProxy, or its serving worker, is not what it was. */
static void lose(struct gateway *g)
{
    unwatch(&g->master_poll);
    unwatch(&g->worker_poll);
    haproxy_forget(&g->haproxy);
    g->known = false;
}

static void on_end(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct gateway *g = poll->data;
    log_warning("HAProxy has ended");
    lose(g);
    operator_poke(g->op);
}

static uv_poll_t *watch(struct gateway *g, int pidfd)
{
    uv_poll_t *poll = xcalloc(1, sizeof(*poll));
    uv_poll_init(operator_loop(g->op), poll, pidfd);
    poll->data = g;
    uv_poll_start(poll, UV_READABLE, on_end);
    return poll;
}

/* The worker is another one after a reload. */
static void watch_processes(struct gateway *g)
{
    unwatch(&g->master_poll);
    unwatch(&g->worker_poll);
    g->master_poll = watch(g, g->haproxy.master_fd);
    g->worker_poll = watch(g, g->haproxy.worker_fd);
}

/* --- status ----------------------------------------------------------------------------------- */

/* What stands in the store is what we say, or is said again at the next pass. */
static void set_status(struct gateway *g, const struct err *err)
{
    struct gateway_status s = {.state = err ? GATEWAY_IS_FAILING : GATEWAY_IS_OK,
                               .message = (char *)(err ? err->msg : ""),
                               .hint = (char *)(err ? err->hint : "")};
    _cleanup_free_ char *key = key_gateway_status(operator_node(g->op));
    const struct gateway_status *old =
        mirror_get(operator_mirror(g->op), key, &gateway_status_schema, NULL);
    const char *said = old && old->message ? old->message : "";
    if (old && old->state == s.state && streq(said, s.message))
        return;
    if (err && !streq(said, s.message))
        log_error("%s%s%s", err->msg, *err->hint ? ". " : "", err->hint);
    if (operator_lease(g->op))
        operator_hold(g->op, key, &gateway_status_schema, &s);
    else
        operator_wake_at(g->op, time_mono_ms() + RETRY_MS);
}

/* --- a pass ------------------------------------------------------------------------------------
 */

static int start_fresh(struct gateway *g, const struct wanted *w, struct err *err)
{
    state_release(&g->state);
    g->state.pool = POOL_START;
    act_on_paper(&g->state, w);
    int r = haproxy_start(&g->haproxy, &g->state, err);
    if (!r)
        log_info("HAProxy started, pid %d", (int)g->haproxy.master);
    return r;
}

/* Makes sure that an HAProxy runs and that we know what it has. */
static int get_hold(struct gateway *g, const struct wanted *w, struct err *err)
{
    if (g->known)
        return 0;
    int r = haproxy_adopt(&g->haproxy, err);
    if (r == -ERR_NOT_FOUND)
        r = start_fresh(g, w, err);
    if (!r)
        r = haproxy_observe(&g->haproxy, &g->state, err);
    if (r < 0)
        return r;
    g->known = true;
    g->renew_at = 0;
    watch_processes(g);
    return 0;
}

/* Started with other settings (davit.conf or davitd changed): a reload takes the new ones over. If
 * that fails (a port is taken) the old ones stay in force, the status says why, and it's tried
 * again. */
static int renew(struct gateway *g, const struct wanted *w, struct err *err)
{
    int64_t now = time_mono_ms();
    if (now < g->renew_at)
        return 0;
    g->renew_at = INT64_MAX;
    if (haproxy_is_current(&g->haproxy))
        return 0;
    log_info("the settings of HAProxy have changed: reloading it");
    act_on_paper(&g->state, w);
    if (haproxy_reload(&g->haproxy, &g->state, err) < 0) {
        err_wrap(err, "the old settings stay in force");
        set_status(g, err);
        g->renew_at = now + RENEW_MS;
        operator_wake_at(g->op, g->renew_at);
    }
    watch_processes(g);
    return haproxy_observe(&g->haproxy, &g->state, err);
}

static int converge(struct gateway *g, const struct wanted *w, struct err *err)
{
    int r = get_hold(g, w, err);
    if (!r)
        r = renew(g, w, err);
    for (int round = 0; !r && round < ROUNDS_MAX; round++) {
        pid_t worker = g->haproxy.worker;
        struct plan plan = {0};
        if ((r = haproxy_count(&g->haproxy, &g->state, err)) < 0)
            break;
        plan_make(w, &g->state, time_wall_us(), &plan);
        r = act(g->op, &g->haproxy, &g->state, &plan, err);
        plan_release(&plan);
        if (worker != g->haproxy.worker)
            watch_processes(g);
        if (r <= 0)
            break;
        g->poll_ms = POLL_MIN_MS;
        r = 0;
    }
    return r;
}

/* Apps with stopped servers are looked at again. */
static void schedule(struct gateway *g, int64_t now)
{
    bool stopped = false;
    for (size_t i = 0; i < g->state.n_servers; i++) {
        struct str app, process, id;
        if (!g->state.servers[i].stopped ||
            !server_name_parts(str_of(g->state.servers[i].name), &app, &process, &id))
            continue;
        _cleanup_free_ char *name = xstrndup(app.ptr, app.len);
        operator_touch_at(g->op, name, now + g->poll_ms);
        stopped = true;
    }
    if (stopped)
        g->poll_ms = MIN(2 * g->poll_ms, (int64_t)POLL_MAX_MS);
}

static bool has_servers(const struct gateway *g, const char *app)
{
    struct str of, process, id;
    for (size_t i = 0; g->known && i < g->state.n_servers; i++)
        if (server_name_parts(str_of(g->state.servers[i].name), &of, &process, &id) &&
            str_eq(of, str_of(app)))
            return true;
    return false;
}

/* Of a destroyed app only its log is left, once HAProxy has nothing of it any more. */
static void let_go(struct gateway *g)
{
    _cleanup_(strv_release) struct strv apps = {0};
    remains_of(g->op, "gateway", &apps);
    for (size_t i = 0; i < apps.n; i++) {
        if (has_servers(g, apps.items[i]))
            continue;
        router_log_forget(g->log, apps.items[i]);
        remains_done(g->op, apps.items[i], "gateway");
    }
}

/* Hosts are one table for all apps, which may want the same: what changes them is about everything,
 * this subject. */
#define EVERYTHING "/"

static bool subject(const char *key, struct str *ret)
{
    if (key_is(&gateway_status_schema, key, NULL))
        return false;
    if (!key_is(&app_schema, key, NULL) && !key_is(&domain_schema, key, NULL))
        return subject_app(key, ret);
    *ret = STR(EVERYTHING);
    return true;
}

/* The apps to look at; returns whether it must be all. */
static bool take_dirty(struct gateway *g, int64_t now, struct strv *ret)
{
    bool all = !g->known || now >= g->renew_at;
    for (const char *app; (app = operator_take(g->op));) {
        if (streq(app, EVERYTHING) || !app_exists(g, str_of(app)))
            all = true;
        else
            strv_add(ret, app);
    }
    return all;
}

static void reconcile(struct op *op, void *ctx, int64_t now)
{
    struct gateway *g = ctx;
    struct err err;
    struct world world;
    _cleanup_(strv_release) struct strv dirty = {0};
    bool all = take_dirty(g, now, &dirty);
    world_read(operator_mirror(op), g->config, all ? NULL : &dirty, &world);
    if (converge(g, &world.wanted, &err) < 0) {
        lose(g);
        set_status(g, &err);
        operator_wake_at(op, now + RETRY_MS);
    } else {
        if (g->renew_at == INT64_MAX)
            set_status(g, NULL);
        haproxy_trim_output(&g->haproxy);
        routing_report(op, &world.wanted, &g->state);
        schedule(g, now);
    }
    let_go(g);
    world_release(&world);
}

/* --- life --------------------------------------------------------------------------------------
 */

static int start(struct op *op, void *ctx, struct err *err)
{
    struct gateway *g = ctx;
    g->op = op;
    g->poll_ms = POLL_MIN_MS;
    int r = haproxy_open(g->config, &g->haproxy, err);
    if (r < 0)
        return r;
    int pipe = log_pipe_for_reader(g->haproxy.dir_fd, err);
    if (pipe < 0)
        return pipe;
    g->log = router_log_new(g->config, pipe, app_exists, g);
    uv_poll_init(operator_loop(op), &g->log_poll, pipe);
    uv_timer_init(operator_loop(op), &g->log_timer);
    g->log_poll.data = g->log_timer.data = g;
    uv_poll_start(&g->log_poll, UV_READABLE, on_log);
    return 0;
}

static int gateway_main(const struct config *c)
{
    struct gateway g = {.config = c, .haproxy = {.dir_fd = -1, .master_fd = -1, .worker_fd = -1}};
    int status = operator_run(&gateway_operator, c, &g);
    haproxy_close(&g.haproxy);
    router_log_free(g.log);
    state_release(&g.state);
    return status;
}

/* Ends this root's HAProxy. None running is fine. */
static int gateway_teardown(const struct config *c, struct err *err)
{
    struct haproxy h;
    int r = haproxy_open(c, &h, err);
    if (r < 0)
        return r;
    r = haproxy_stop(&h, err);
    haproxy_close(&h);
    return r;
}

static const struct folder folders[] = {
    {BELOW(state), "gateway", 0700, OWNER_USER},
    {BELOW(run), "gateway", 0750, OWNER_USER},
    {0},
};

const struct operator_desc gateway_operator = {
    .name = "gateway",
    .what = "routes requests to instances by HAProxy",
    .scope = SCOPE_NODE,
    .as_user = true,
    .capabilities = CAP_TO_MASK(CAP_NET_BIND_SERVICE), /* HAProxy's: ports 80 and 443 */
    .folders = folders,
    .main = gateway_main,
    .teardown = gateway_teardown,
    .watches = (const struct schema *const[]){&app_schema, &instance_schema, &routing_schema,
                                              &remains_schema, &gateway_status_schema, NULL},
    .subject = subject,
    .start = start,
    .reconcile = reconcile,
};
