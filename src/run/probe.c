#include "run/probe.h"

#include <arpa/inet.h>
#include <fcntl.h>

#include "base/log.h"
#include "base/time.h"
#include "bundle/config.h"
#include "os/cgroup.h"
#include "os/file.h"
#include "run/command.h"
#include "run/httpget.h"
#include "run/listen.h"
#include "run/spec.h"

enum { CONFIG_MAX = 4 << 20 };

/* One check and where it stands. */
struct job {
    struct probe *probe;
    const struct check *check;
    uv_timer_t timer; /* for the next try */
    struct httpget *get;
    struct command *command;
    bool passed;           /* since the process was started */
    int64_t failures;      /* in a row */
    int64_t first_tried;   /* mono ms; 0: not yet */
    const char *misplaced; /* how it listens at the wrong place, */
    int64_t misplaced_at;  /* and since when */
    char reason[400];
};

struct probe {
    uv_loop_t *loop;
    struct probe_target target;
    struct process process;
    uint32_t address;     /* network byte order */
    int sockets;          /* to ask who listens; -1: not open */
    struct check implied; /* what is checked without being asked for */
    struct job *jobs;
    size_t n_jobs;
    struct job *gate; /* the port of a web process: nothing else is tried before */
    int64_t started;  /* mono ms when the process was */
    enum probe_state state;
    void (*changed)(void *ctx);
    void *ctx;
    size_t handles; /* timers not closed yet */
    bool stopped;
};

enum probe_state probe_state(const struct probe *p) { return p->state; }

const char *probe_reason(const struct probe *p)
{
    for (size_t i = 0; i < p->n_jobs; i++)
        if (p->jobs[i].reason[0])
            return p->jobs[i].reason;
    return "";
}

static int64_t or_else(int64_t value, int64_t otherwise) { return value ? value : otherwise; }
static bool ready_once(const struct probe *p)
{
    return p->state >= PROBE_READY && p->state != PROBE_STUCK;
}

static void try(uv_timer_t *timer);

static void try_in(struct job *j, int64_t ms)
{
    if (!j->probe->stopped)
        uv_timer_start(&j->timer, try, (uint64_t)MAX(ms, (int64_t)0), 0);
}

/* ---- verdicts ---- */

static void set_state(struct probe *p, enum probe_state state)
{
    bool news = p->state != state;
    p->state = state;
    if (news)
        p->changed(p->ctx);
}

static bool needed_first(const struct job *j) { return j->check->type != CHECK_LIVENESS; }

static void becomes_ready(struct probe *p)
{
    for (size_t i = 0; i < p->n_jobs; i++)
        if (needed_first(&p->jobs[i]) && !p->jobs[i].passed)
            return;
    for (size_t i = 0; i < p->n_jobs; i++)
        if (!needed_first(&p->jobs[i]))
            try_in(&p->jobs[i], p->jobs[i].check->initial_delay * 1000);
    set_state(p, PROBE_READY);
}

static void passed(struct job *j)
{
    struct probe *p = j->probe;
    bool opens = p->gate == j && !j->passed;
    j->passed = true;
    j->failures = 0;
    j->reason[0] = '\0';
    if (j->check->type != CHECK_STARTUP)
        try_in(j, or_else(j->check->wait, PROBE_WAIT_S) * 1000);
    if (!ready_once(p))
        becomes_ready(p);
    else if (p->state == PROBE_FAILING)
        set_state(p, PROBE_READY);
    for (size_t i = 0; opens && i < p->n_jobs; i++) /* the others waited for it */
        if (&p->jobs[i] != j && needed_first(&p->jobs[i]))
            try_in(&p->jobs[i], p->jobs[i].check->initial_delay * 1000);
}

/* Of a check that has to pass before the process is ready. */
static void not_yet(struct job *j, bool pointless)
{
    struct probe *p = j->probe;
    int64_t now = time_mono_ms(), passed_ms = now - p->started;
    bool eager = j->check->listening;
    try_in(j, eager
                  ? MIN(MAX(passed_ms / 32, (int64_t)1), (int64_t)PROBE_EAGER_MAX_MS)
                  : MIN(MAX((now - j->first_tried) / 4, (int64_t)10), (int64_t)PROBE_RETRY_MAX_MS));
    if (pointless)
        set_state(p, PROBE_STUCK);
}

static void failed(struct job *j, bool pointless)
{
    struct probe *p = j->probe;
    if (!ready_once(p)) {
        not_yet(j, pointless);
        return;
    }
    try_in(j, or_else(j->check->wait, PROBE_WAIT_S) * 1000);
    if (++j->failures < or_else(j->check->attempts, PROBE_ATTEMPTS) || p->state == PROBE_DEAD)
        return;
    set_state(p, j->check->type == CHECK_LIVENESS ? PROBE_DEAD : PROBE_FAILING);
}

/* ---- the four kinds of checks ---- */

static int64_t port_of(const struct job *j)
{
    return or_else(j->check->port, process_port(&j->probe->process));
}

static void try_listening(struct job *j)
{
    struct probe *p = j->probe;
    struct listeners l = {0};
    struct err err;
    int64_t port = port_of(j), now = time_mono_ms();
    if ((p->sockets < 0 && listen_open(p->target.pid, &p->sockets, &err) < 0) ||
        listen_look(p->sockets, (uint16_t)port, p->address, &l, &err) < 0)
        log_debug("%s: %s", p->target.container, err.msg);
    if (l.reachable) {
        passed(j);
        return;
    }
    const char *misplaced = l.loopback ? "loopback" : l.other_port ? "port" : NULL;
    if (misplaced != j->misplaced) {
        j->misplaced = misplaced;
        j->misplaced_at = now;
    }
    if (l.loopback)
        snprintf(j->reason, sizeof(j->reason),
                 "listens on 127.0.0.1:%lld only; it must listen on 0.0.0.0:$PORT (%lld)",
                 (long long)port, (long long)port);
    else if (l.other_port)
        snprintf(j->reason, sizeof(j->reason), "listens on port %u, but PORT is %lld", l.other_port,
                 (long long)port);
    else
        snprintf(j->reason, sizeof(j->reason), "did not listen on port %lld", (long long)port);
    failed(j, misplaced && now - j->misplaced_at >= PROBE_STUCK_MS);
}

static void try_uptime(struct job *j)
{
    int64_t left = j->check->uptime * 1000 - (time_mono_ms() - j->probe->started);
    if (left > 0)
        try_in(j, left);
    else
        passed(j);
}

/* Whether it has been given all the attempts it asks for. */
static bool exhausted(const struct job *j)
{
    int64_t patience =
        or_else(j->check->attempts, PROBE_ATTEMPTS) * or_else(j->check->wait, PROBE_WAIT_S) * 1000;
    return time_mono_ms() - j->first_tried >= patience;
}

static void on_got(void *ctx, const char *why)
{
    struct job *j = ctx;
    j->get = NULL;
    if (!why) {
        passed(j);
        return;
    }
    snprintf(j->reason, sizeof(j->reason), "%s", why);
    failed(j, exhausted(j));
}

static void try_path(struct job *j)
{
    if (!httpget_knows(j->check->scheme)) {
        snprintf(j->reason, sizeof(j->reason), "has a check by %.100s; checks use http or https",
                 j->check->scheme);
        failed(j, true);
        return;
    }
    j->get = httpget_start(j->probe->loop, j->probe->target.address, (uint16_t)port_of(j), j->check,
                           on_got, j);
}

static void on_command_ended(void *ctx, int status)
{
    struct job *j = ctx;
    j->command = NULL;
    if (status == 0) {
        passed(j);
        return;
    }
    const char *name =
        j->check->name && *j->check->name ? j->check->name : j->check->command.items[0];
    if (status == COMMAND_TIMED_OUT)
        snprintf(j->reason, sizeof(j->reason), "did not end its check '%.200s' in time", name);
    else
        snprintf(j->reason, sizeof(j->reason), "failed its check '%.200s' with status %d", name,
                 status);
    failed(j, exhausted(j));
}

/* A group of the check's own in the instance's, so that what it starts can be told from the app. */
static int make_group(const struct job *j, char **ret, struct err *err)
{
    const char *above = j->probe->target.cgroup;
    _cleanup_free_ char *name = xasprintf("check.%td", j - j->probe->jobs);
    if (!above)
        return 0;
    int r = cgroup_make_below(above, name, err);
    if (!r)
        *ret = path_join(above, "%s", name);
    return r;
}

/* The file that tells crun what the check's process is. */
static int write_process(const struct job *j, const char *to, struct err *err)
{
    const char *dir = j->probe->target.run_dir;
    _cleanup_(buf_release) struct buf config = BUF_CAP(CONFIG_MAX), process = BUF_CAP(CONFIG_MAX);
    _cleanup_free_ char *from = path_join(dir, "config.json");
    int r = file_read(from, &config, err);
    if (!r)
        r = bundle_process(buf_str(&config), &j->check->command, &process, err);
    return r ? r : file_replace(to, buf_str(&process), 0600, err);
}

static void try_command(struct job *j)
{
    const struct probe_target *t = &j->probe->target;
    _cleanup_(strv_release) struct strv argv = {0};
    _cleanup_free_ char *group = NULL;
    _cleanup_free_ char *process = path_join(t->run_dir, "check.%td", j - j->probe->jobs);
    struct err err;
    strv_add(&argv, "nsenter");
    strv_addf(&argv, "--mount=/proc/%d/ns/mnt", (int)t->shim);
    for (const char *const *a =
             (const char *const[]){"--", "crun", "--cgroup-manager=disabled", "--root", NULL};
         *a; a++)
        strv_add(&argv, *a);
    strv_add(&argv, t->crun_root);
    strv_add(&argv, "exec");
    strv_add(&argv, "--process");
    strv_add(&argv, process);
    strv_add(&argv, t->container);
    int64_t timeout = or_else(j->check->timeout, PROBE_TIMEOUT_S) * 1000;
    if ((!path_exists(process) && write_process(j, process, &err) < 0) ||
        make_group(j, &group, &err) < 0 ||
        command_start(j->probe->loop, (const char *const *)strv_argv(&argv), group, timeout,
                      on_command_ended, j, &j->command, &err) < 0) {
        snprintf(j->reason, sizeof(j->reason), "could not be checked: %.300s", err.msg);
        failed(j, exhausted(j));
    }
}

static void try(uv_timer_t *timer)
{
    struct job *j = timer->data;
    if (!j->first_tried)
        j->first_tried = time_mono_ms();
    if (j->check->command.n)
        try_command(j);
    else if (j->check->path && *j->check->path)
        try_path(j);
    else if (j->check->uptime)
        try_uptime(j);
    else
        try_listening(j);
}

/* ---- life ---- */

static bool covers_port(const struct check *c, const struct process *of)
{
    return c->listening && c->type != CHECK_LIVENESS && (!c->port || c->port == process_port(of));
}

/* A web process must listen; another one must at least not fall over at once. */
static bool needs_more(struct probe *p)
{
    const struct process *of = &p->process;
    bool any = false, port = false;
    for (size_t i = 0; i < of->checks.n; i++) {
        const struct check *c = list_at(&of->checks, struct check, i);
        any = any || c->type != CHECK_LIVENESS;
        port = port || covers_port(c, of);
    }
    p->implied.type = CHECK_STARTUP;
    if (streq(of->type, "web")) {
        p->implied.listening = true;
        return !port;
    }
    p->implied.uptime = PROBE_UPTIME_MS / 1000;
    return !any;
}

static void add_job(struct probe *p, const struct check *c)
{
    struct job *j = &p->jobs[p->n_jobs++];
    *j = (struct job){.probe = p, .check = c};
    uv_timer_init(p->loop, &j->timer);
    j->timer.data = j;
    if (streq(p->process.type, "web") && covers_port(c, &p->process) && !p->gate)
        p->gate = j;
}

struct probe *probe_start(uv_loop_t *loop, const struct probe_target *t, void (*changed)(void *ctx),
                          void *ctx)
{
    struct probe *p = xcalloc(1, sizeof(*p));
    *p = (struct probe){.loop = loop,
                        .target = *t,
                        .changed = changed,
                        .ctx = ctx,
                        .state = PROBE_WAITING,
                        .sockets = -1,
                        .started = time_mono_ms() - t->running_ms};
    p->target.run_dir = xstrdup(t->run_dir);
    p->target.container = xstrdup(t->container);
    p->target.crun_root = xstrdup(t->crun_root);
    p->target.cgroup = t->cgroup ? xstrdup(t->cgroup) : NULL;
    p->target.address = xstrdup(t->address);
    model_copy(&process_schema, t->process, &p->process);
    inet_pton(AF_INET, t->address, &p->address);
    const struct list *checks = &p->process.checks;
    p->jobs = xcalloc(checks->n + 1, sizeof(*p->jobs));
    if (needs_more(p))
        add_job(p, &p->implied);
    for (size_t i = 0; i < checks->n; i++)
        add_job(p, list_at(checks, struct check, i));
    p->handles = p->n_jobs;
    uv_update_time(loop);
    for (size_t i = 0; i < p->n_jobs; i++)
        if (needed_first(&p->jobs[i]) && (!p->gate || p->gate == &p->jobs[i]))
            try_in(&p->jobs[i], p->jobs[i].check->initial_delay * 1000);
    return p;
}

static void on_closed(uv_handle_t *handle)
{
    struct job *j = handle->data;
    struct probe *p = j->probe;
    if (--p->handles)
        return;
    free((char *)p->target.run_dir);
    free((char *)p->target.container);
    free((char *)p->target.crun_root);
    free((char *)p->target.cgroup);
    free((char *)p->target.address);
    process_release(&p->process);
    free(p->jobs);
    free(p);
}

void probe_stop(struct probe *p)
{
    p->stopped = true;
    for (size_t i = 0; i < p->n_jobs; i++) {
        struct job *j = &p->jobs[i];
        if (j->get)
            httpget_cancel(j->get);
        if (j->command)
            command_cancel(j->command);
        uv_close((uv_handle_t *)&j->timer, on_closed);
    }
    closep(&p->sockets);
}
