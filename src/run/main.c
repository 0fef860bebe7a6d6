#include "run/run.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/time.h"
#include "operator/current.h"
#include "operator/operator.h"
#include "operator/remains.h"
#include "os/file.h"
#include "run/act.h"
#include "run/guard.h"
#include "run/plan.h"
#include "run/spec.h"

enum { REMAINS_RETRY_MS = 5000, CROWDED_MS = 100 };

struct runner {
    struct op *op;
    struct actor actor;
    struct fleet *fleet;
    uint16_t next_host;
    bool swept;
    struct strv waiting; /* apps that have to start something when fewer boot */
};

/* One app in one pass. */
struct app_pass {
    struct runner *run;
    const char *app;
    int64_t now;
    struct rollouts rollouts;
    struct unit *units;
    struct member **members; /* beside units; NULL once removed */
    size_t n;
    struct plan plan;
};

static void on_change(void *ctx, const char *app)
{
    struct runner *run = ctx;
    if (app)
        operator_touch(run->op, app);
    else
        operator_poke(run->op);
}

static const struct instance *record_of(struct runner *run, const struct member *m)
{
    _cleanup_free_ char *key = key_instance(m->app, m->type, m->id);
    return mirror_get(operator_mirror(run->op), key, &instance_schema, NULL);
}

/* ---- gathering ---- */

/* Notices when the record says something new. */
static void follow_record(struct member *m, const struct instance *rec, int64_t now)
{
    if (rec->state == m->state_seen && rec->pid == m->pid_seen)
        return;
    if (m->state_seen < 0) { /* from before we were started */
        int64_t since = rec->since ? time_parse(rec->since) : -1;
        int64_t age = since < 0 ? 0 : (time_wall_us() - since) / 1000;
        m->since = now - MAX(age, (int64_t)0);
        if (!m->host && rec->ip)
            m->host = network_host(rec->ip);
    } else {
        m->since = now;
    }
    m->state_seen = rec->state;
    m->pid_seen = rec->pid;
}

static void unit_of(struct runner *run, struct member *m, int64_t now, struct unit *ret)
{
    const struct instance *rec = record_of(run, m);
    if (rec)
        follow_record(m, rec, now);
    *ret = (struct unit){
        .type = m->type,
        .id = m->id,
        .release = m->release,
        .generation = m->generation,
        .index = m->index,
        .host = m->host,
        .recorded = rec,
        .state = rec ? rec->state : INSTANCE_STARTING,
        .since = rec ? m->since : m->made,
        .seen_pid = rec ? rec->pid : 0,
        .made = m->made,
        .alive = member_alive(m),
        .told_to_stop = m->told_to_stop,
        .shim = m->status.state,
        .pid = m->status.pid,
        .restarts = m->status.restarts,
        .exit = m->status.exit,
        .reason = m->status.reason,
        .probe = m->probe ? probe_state(m->probe) : PROBE_NONE,
        .probe_reason = m->probe && *probe_reason(m->probe) ? probe_reason(m->probe) : NULL,
        .kicked_pid = m->kicked_pid,
        .attempts = m->attempts,
        .attempted = m->attempted,
        .attempt_error = m->attempt_error,
    };
}

/* ---- probes ---- */

static const struct release *release_of(const struct app_pass *p, int64_t number)
{
    _cleanup_free_ char *key = key_release(p->app, number);
    return mirror_get(operator_mirror(p->run->op), key, &release_schema, NULL);
}

static bool is_live(const struct app_pass *p, int64_t number)
{
    for (size_t i = 0; i < p->rollouts.n; i++)
        if (p->rollouts.items[i].rollout->release == number)
            return p->rollouts.items[i].rollout->phase == ROLLOUT_LIVE;
    return false;
}

static void start_probe(struct app_pass *p, struct member *m, const struct process *process)
{
    struct runner *run = p->run;
    char address[NETWORK_TEXT];
    _cleanup_free_ char *crun = path_join(operator_config(run->op)->run, "crun");
    _cleanup_free_ char *cgroup = instance_cgroup(operator_config(run->op), m->name);
    network_address(&run->actor.network, m->host, address);
    int64_t running = (time_wall_us() - m->status.started) / 1000;
    struct probe_target t = {.pid = (pid_t)m->status.pid,
                             .shim = m->shim_pid,
                             .run_dir = m->run_dir,
                             .container = m->name,
                             .crun_root = crun,
                             .cgroup = cgroup,
                             .address = address,
                             .process = process,
                             .running_ms = MAX(running, (int64_t)0)};
    m->probe = probe_start(operator_loop(run->op), &t, member_changed, m);
    m->probe_pid = m->status.pid;
}

/* A probe for the process that runs now, and for no other. */
static void tend_probe(struct app_pass *p, struct member *m)
{
    bool running = member_alive(m) && m->status.state == SHIM_RUNNING && m->status.pid;
    if (m->probe && (!running || m->probe_pid != m->status.pid)) {
        probe_stop(m->probe);
        m->probe = NULL;
    }
    const struct release *r = release_of(p, m->release);
    const struct process *process = r ? release_process(r, m->type) : NULL;
    if (running && !m->probe && process && !process_type_is_phase(m->type))
        start_probe(p, m, process);
}

/* ---- acting ---- */

static void attempt(struct app_pass *p, struct member *m)
{
    struct runner *run = p->run;
    const struct release *r = release_of(p, m->release);
    const struct config_vars *vars = NULL;
    if (r && r->config) {
        _cleanup_free_ char *key = key_config_vars(p->app, r->config);
        vars = mirror_get(operator_mirror(run->op), key, &config_vars_schema, NULL);
    }
    struct err err;
    m->attempts++;
    m->attempted = p->now;
    m->told_to_stop = false;
    m->kicked_pid = 0;
    free(m->attempt_error);
    m->attempt_error = NULL;
    int e = !r ? err_set(&err, ERR_NOT_FOUND, "its release is gone")
            : r->config && !vars
                ? err_set(&err, ERR_NOT_FOUND, "revision %lld of its config variables is gone",
                          (long long)r->config)
                : act_start(&run->actor, m, r, vars ? &vars->vars : NULL, !is_live(p, m->release),
                            &err);
    if (e < 0) {
        log_error("starting %s: %s", m->name, err.msg);
        m->attempt_error = xstrdup(err.msg);
        if (err.code == ERR_UNPROCESSABLE) /* no other attempt would do better */
            m->attempts = MAX(m->attempts, START_ATTEMPTS);
        operator_touch(run->op, p->app);
    }
}

static void start(struct app_pass *p, const struct action *a)
{
    struct member *m = a->unit >= 0 ? p->members[a->unit] : NULL;
    if (!m) {
        _cleanup_free_ char *id = instance_id(a->release, a->generation, a->index);
        m = fleet_add(p->run->fleet, p->app, a->process, id);
    }
    m->host = a->host;
    attempt(p, m);
}

static void remove_unit(struct app_pass *p, const struct action *a)
{
    struct member *m = p->members[a->unit];
    _cleanup_free_ char *key = key_instance(m->app, m->type, m->id);
    if (record_of(p->run, m))
        operator_delete(p->run->op, key);
    fleet_remove(p->run->fleet, m);
    p->members[a->unit] = NULL;
    operator_touch(p->run->op, p->app);
}

static void kick(struct app_pass *p, const struct action *a)
{
    struct member *m = p->members[a->unit];
    act_log(&p->run->actor, m, a->reason);
    m->kicked_pid = m->status.pid;
    member_signal(m, SIGUSR1);
}

static void act(struct app_pass *p, const struct action *a)
{
    switch (a->type) {
    case ACT_START: start(p, a); break;
    case ACT_REMOVE: remove_unit(p, a); break;
    case ACT_KICK: kick(p, a); break;
    case ACT_STOP:
        p->members[a->unit]->told_to_stop = true;
        member_signal(p->members[a->unit], SIGTERM);
        break;
    }
}

/* ---- records ---- */

static char *exit_text(const struct status *s)
{
    if (s->exit < 0)
        return s->reason ? xstrdup(s->reason) : NULL;
    return xasprintf("Process exited with status %lld%s%s%s", (long long)s->exit,
                     s->reason ? " (" : "", s->reason ? s->reason : "", s->reason ? ")" : "");
}

static void write_record(struct app_pass *p, struct member *m, int state)
{
    struct runner *run = p->run;
    const struct instance *old = record_of(run, m);
    const struct release *r = release_of(p, m->release);
    const struct process *process = r ? release_process(r, m->type) : NULL;
    bool running = member_alive(m) && m->status.pid;
    char address[NETWORK_TEXT] = "";
    if (m->host)
        network_address(&run->actor.network, m->host, address);
    _cleanup_(instance_release) struct instance rec = {
        .app = xstrdup(m->app),
        .type = xstrdup(m->type),
        .id = xstrdup(m->id),
        .index = m->index,
        .release = m->release,
        .generation = m->generation,
        .state = state,
        .node = xstrdup(operator_node(run->op)),
        .ip = xstrdup(address),
        .port = process ? process_port(process)
                : old   ? old->port
                        : 0,
        .pid = running ? m->status.pid : 0,
        .since = old && old->since && old->state == state ? xstrdup(old->since) : time_now_text(),
        .restarts = m->status.restarts,
        .exit_status = MAX(m->status.exit, (int64_t)0),
        .reason = exit_text(&m->status)};
    if (old && model_equal(&instance_schema, old, &rec))
        return;
    _cleanup_free_ char *key = key_instance(m->app, m->type, m->id);
    operator_put(run->op, key, &instance_schema, &rec);
}

static void write_records(struct app_pass *p)
{
    for (size_t i = 0; i < p->n; i++) {
        struct member *m = p->members[i];
        if (!m)
            continue;
        if (p->plan.next[i] == INSTANCE_READY)
            m->attempts = 0;
        if (is_live(p, m->release))
            act_forget_lines(m);
        write_record(p, m, p->plan.next[i]);
    }
    size_t n, first = fleet_of(p->run->fleet, p->app, &n);
    for (size_t i = first; i < first + n; i++) { /* those born in this pass */
        struct member *m = fleet_at(p->run->fleet, i);
        if (m->attempted == p->now && !record_of(p->run, m))
            write_record(p, m, INSTANCE_STARTING);
    }
}

/* Only as long as the rollout is what it is about: `release` may have changed it meanwhile, and the
 * app may be gone. */
static void write_status(struct app_pass *p, size_t r)
{
    struct mirror *mirror = operator_mirror(p->run->op);
    const struct rollout_seen *seen = &p->rollouts.items[r];
    struct rollout_status *now = &p->plan.status[r];
    int failed = p->plan.failed[r];
    if (failed >= 0 && p->members[failed])
        act_last_lines(p->members[failed], &now->log);
    if (seen->status && model_equal(&rollout_status_schema, seen->status, now))
        return;
    _cleanup_free_ char *about = key_rollout(p->app, seen->rollout->release);
    _cleanup_free_ char *key = key_rollout_status(p->app, seen->rollout->release);
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    struct txn t = {0};
    int64_t about_rev, rev;
    mirror_get(mirror, about, &rollout_schema, &about_rev);
    mirror_get(mirror, key, &rollout_status_schema, &rev);
    model_encode(&rollout_status_schema, now, &json);
    txn_expect(&t, about, about_rev);
    txn_expect(&t, key, rev);
    txn_put(&t, key, buf_str(&json), 0);
    operator_txn(p->run->op, &t);
}

/* ---- the pass ---- */

static void gather_units(struct app_pass *p)
{
    struct fleet *f = p->run->fleet;
    size_t n, first = fleet_of(f, p->app, &n);
    p->units = xcalloc(n, sizeof(*p->units));
    p->members = xcalloc(n, sizeof(struct member *));
    for (size_t i = first; i < first + n; i++) {
        struct member *m = fleet_at(f, i);
        tend_probe(p, m);
        p->members[p->n] = m;
        unit_of(p->run, m, p->now, &p->units[p->n++]);
    }
}

static void reconcile_app(struct runner *run, const char *app, int64_t now, struct plan_pool *pool)
{
    const struct config *c = operator_config(run->op);
    struct app_pass p = {.run = run, .app = app, .now = now};
    _cleanup_free_ char *key = key_desired(app);
    rollouts_of(operator_mirror(run->op), app, &p.rollouts);
    gather_units(&p);
    struct plan_input in = {.app = app,
                            .gone =
                                !mirror_get(operator_mirror(run->op), key, &desired_schema, NULL),
                            .rollouts = p.rollouts.items,
                            .n_rollouts = p.rollouts.n,
                            .units = p.units,
                            .n_units = p.n,
                            .now = now,
                            .boot_ms = c->boot_timeout * 1000,
                            .drain_ms = c->drain_timeout * 1000};
    plan_app(&in, pool, &p.plan);
    for (size_t i = 0; i < p.plan.n; i++)
        act(&p, &p.plan.actions[i]);
    write_records(&p);
    for (size_t i = 0; i < p.rollouts.n; i++)
        write_status(&p, i);
    if (p.plan.wake)
        operator_touch_at(run->op, app, p.plan.wake);
    if (p.plan.crowded && !strv_has(&run->waiting, app))
        strv_add(&run->waiting, app);
    plan_release_contents(&p.plan);
    rollouts_release(&p.rollouts);
    free(p.units);
    free(p.members);
}

/* Records whose instance left no trace on the machine (after a reboot). app NULL: of all. */
static void remember_records(struct runner *run, const char *app)
{
    struct mirror *mirror = operator_mirror(run->op);
    const struct instance *rec;
    for (struct mirror_iter i = mirror_of(mirror, &instance_schema, app);
         (rec = mirror_each(&i));) {
        if ((rec->node && *rec->node && !streq(rec->node, operator_node(run->op))) ||
            fleet_find(run->fleet, rec->app, rec->type, rec->id))
            continue;
        struct member *m = fleet_add(run->fleet, rec->app, rec->type, rec->id);
        if (m && rec->ip)
            m->host = network_host(rec->ip);
    }
}

static void fill_pool(struct runner *run, int64_t now, struct plan_pool *pool)
{
    *pool = (struct plan_pool){.next = run->next_host, .starts = STARTS_AT_ONCE};
    for (size_t i = 0; i < fleet_size(run->fleet); i++) {
        const struct member *m = fleet_at(run->fleet, i);
        pool_take(pool, m->host);
        if (member_alive(m) && m->state_seen <= INSTANCE_STARTING &&
            now - m->attempted < BOOTING_MS && m->attempts)
            pool->starts--;
    }
}

/* Logs of a destroyed app, once nobody writes them any more. */
static void remove_remains(struct runner *run)
{
    _cleanup_(strv_release) struct strv apps = {0};
    remains_of(run->op, "run", &apps);
    for (size_t i = 0; i < apps.n; i++) {
        const char *app = apps.items[i];
        struct err err;
        _cleanup_free_ char *logs = path_join(operator_config(run->op)->log, "%s", app);
        if (fleet_has(run->fleet, app) || remains_left(run->op, app, "gateway"))
            continue;
        if (dir_remove(logs, &err) == 0) {
            remains_done(run->op, app, "run");
        } else {
            log_warning("destroying %s: %s", app, err.msg);
            operator_wake_at(run->op, time_mono_ms() + REMAINS_RETRY_MS);
        }
    }
}

/* Takes over what runs already, whether the store knows of it or not. */
static void take_stock(struct runner *run)
{
    remember_records(run, NULL);
    fleet_sweep(run->fleet);
    for (size_t i = 0; i < fleet_size(run->fleet); i++)
        operator_touch(run->op, fleet_at(run->fleet, i)->app);
    run->swept = true;
}

/* As many of those that wait as may start something now. */
static void let_in(struct runner *run, int starts)
{
    struct strv *w = &run->waiting;
    size_t n = MIN(w->n, (size_t)MAX(starts, 0));
    for (size_t i = 0; i < n; i++) {
        operator_touch(run->op, w->items[i]);
        free(w->items[i]);
    }
    w->n -= n;
    if (n)
        memmove(w->items, w->items + n, w->n * sizeof(*w->items));
}

static void reconcile(struct op *op, void *ctx, int64_t now)
{
    struct runner *run = ctx;
    static struct plan_pool pool; /* 8 KiB; one pass at a time */
    if (!run->swept)
        take_stock(run);
    fill_pool(run, now, &pool);
    let_in(run, pool.starts);
    for (const char *app; (app = operator_take(op));) {
        remember_records(run, app);
        reconcile_app(run, app, now, &pool);
    }
    if (run->waiting.n)
        operator_wake_at(op, now + CROWDED_MS);
    run->next_host = pool.next;
    remove_remains(run);
}

/* ---- life ---- */

/* Instances of an earlier Davit had it as their stdin, and crun gave it to their user. */
static void take_back_null(const struct config *c)
{
    struct stat st;
    if (stat("/dev/null", &st) < 0 || st.st_uid < c->uid_base)
        return;
    if (chown("/dev/null", 0, 0) < 0 || chmod("/dev/null", 0666) < 0)
        log_warning("/dev/null belongs to uid %u: %s", st.st_uid, strerror(errno));
    else
        log_info("/dev/null belongs to root again");
}

static int begin(struct op *op, void *ctx, struct err *err)
{
    struct runner *run = ctx;
    const struct config *c = operator_config(op);
    run->op = op;
    random_bytes(&run->next_host, sizeof(run->next_host));
    take_back_null(c);
    int r = actor_init(&run->actor, c, err);
    if (r < 0 || (r = guard_start(operator_loop(op), &run->actor.network, err)) < 0 ||
        (r = fleet_new(operator_loop(op), c, on_change, run, &run->fleet, err)) < 0)
        return r;
    return fleet_adopt(run->fleet, err);
}

static int run_main(const struct config *c)
{
    static struct runner run; /* ends with the process, as all that hangs on the loop */
    return operator_run(&run_operator, c, &run);
}

static const struct folder folders[] = {
    {BELOW(state), "instances", 0711, OWNER_ROOT},
    {BELOW(run), "instances", 0711, OWNER_ROOT},
    {BELOW(run), "crun", 0700, OWNER_ROOT},
    {BELOW(run), "shared", 0755, OWNER_MAPPED},
    {BELOW(run), "rootfs", 0755, OWNER_ROOT},
    {BELOW(run), "sysfs", 0755, OWNER_ROOT},
    {BELOW(run), "userns", 0644, OWNER_ROOT, .is_file = true},
    {0},
};

const struct operator_desc run_operator = {
    .name = "run",
    .what = "turns rollouts into instances: starts, probes, drains and stops them",
    .scope = SCOPE_NODE,
    .folders = folders,
    .main = run_main,
    .teardown = run_teardown,
    .watches = (const struct schema *const[]){&app_schema, &rollout_schema, &instance_schema,
                                              &remains_schema, NULL},
    .subject = subject_app,
    .start = begin,
    .reconcile = reconcile,
};
