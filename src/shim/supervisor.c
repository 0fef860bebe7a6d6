#include "shim/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/time.h"
#include "init/init.h"
#include "os/cgroup.h"
#include "os/file.h"
#include "os/namespace.h"
#include "os/netlink.h"
#include "os/pidfd.h"
#include "pact/status.h"
#include "shim/applog.h"
#include "shim/container.h"
#include "shim/memory.h"
#include "shim/network.h"
#include "shim/policy.h"
#include "shim/stop.h"
#include "shim/trim.h"

enum { PIPE_SIZE = 262144, REASON_MAX = 512 };

struct shim {
    const struct spec *spec;
    char *status_path, *tail_path;
    struct policy policy;
    struct status status;
    struct container container;
    struct applog log;
    struct memory memory;
    bool networked;
    bool accounted; /* has its user namespace */
    bool killed;    /* SIGKILL was ours */
    bool ended;     /* the same, but it stood in for the stop signal */
    int host;       /* netlink into the host's network namespace */
    int signals;
    int pipe[2]; /* of the app's output; both ends stay open over restarts */
    int crun;    /* pidfd while it runs, else -1 */
    int app;     /* pidfd while it runs, else -1 */
};

static const char *name_in_log(enum policy_state state)
{
    return state == POLICY_RUNNING ? "up" : shim_state_name(policy_shows(state));
}

static void publish(struct shim *s)
{
    struct err err;
    _cleanup_(buf_release) struct buf text = BUF_CAP(4096);
    pact_status_format(&s->status, &text);
    if (file_replace(s->status_path, buf_str(&text), 0644, &err) < 0)
        log_error("%s: writing its status: %s", s->spec->name, err.msg);
}

/* Puts the new state into log and status. */
static void announce(struct shim *s, enum policy_state before)
{
    enum policy_state now = s->policy.state;
    int64_t wall = time_wall_us();
    if (!streq(name_in_log(before), name_in_log(now)))
        applog_say(&s->log, "State changed from %s to %s", name_in_log(before), name_in_log(now));
    s->status.state = policy_shows(now);
    s->status.since = wall;
    s->status.next = now == POLICY_CRASHED ? wall + (s->policy.wake_ms - time_mono_ms()) * 1000 : 0;
    publish(s);
    if (now == POLICY_RUNNING)
        trim_program();
}

/* Why it ended or couldn't start, as plain ASCII in one line. */
static void set_reason(struct shim *s, const char *text)
{
    free(s->status.reason);
    s->status.reason = *text ? xstrndup(text, REASON_MAX) : NULL;
    for (char *at = s->status.reason; at && *at; at++)
        if (*at < ' ' || *at > '~')
            *at = *at > 0 && *at <= ' ' ? ' ' : '?';
}

static void close_fd(int *fd)
{
    closep(fd);
    *fd = -1;
}

/* Once the app has ended, or crun without having started it. */
static void clear(struct shim *s)
{
    struct err err;
    if (container_clear(&s->container, &err) < 0)
        applog_say(&s->log, "Cleaning up: %s", err.msg);
}

/* Everything crun needs besides its configuration. */
static int prepare(struct shim *s, struct err *err)
{
    int r = s->networked ? 0 : network_up(s->spec, s->host, err);
    s->networked = r == 0;
    if (!r && s->spec->userns && !s->accounted) {
        r = namespace_user((uid_t)s->spec->uid_owner, (uid_t)s->spec->uid_base, s->spec->userns,
                           err);
        s->accounted = r == 0;
    }
    return r ? r : container_mount(&s->container, err);
}

/* crun is loaded while network and root are being made; it goes on when it gets its configuration.
 */
static int start(struct shim *s, struct err *err)
{
    int status, sig;
    _cleanup_close_ int pipe = -1;
    s->killed = s->ended = false;
    s->log.last[0] = '\0';
    int r = container_clear(&s->container, err);
    if (!r)
        r = container_start(&s->container, s->pipe[1], &s->crun, &pipe, err);
    if (r < 0)
        return r;
    r = prepare(s, err);
    if (!r && (r = container_configure(&s->container, TAKE_FD(pipe), err)) == 0)
        return 0;
    pidfd_send_signal(s->crun, SIGKILL, NULL, 0);
    poll(&(struct pollfd){s->crun, POLLIN, 0}, 1, -1);
    pidfd_reap(s->crun, &status, &sig);
    close_fd(&s->crun);
    clear(s);
    return r;
}

static void kill_all(struct shim *s)
{
    s->killed = true;
    if (s->app >= 0)
        applog_say(&s->log, "Error R12 (Exit timeout): not ended %d s after %s, sending SIGKILL",
                   (int)s->spec->grace, sigabbrev_np((int)s->spec->signal) ?: "its signal");
    if (s->crun >= 0)
        pidfd_send_signal(s->crun, SIGKILL, NULL, 0);
    if (s->app >= 0)
        pidfd_send_signal(s->app, SIGKILL, NULL, 0); /* takes its whole pid namespace along */
}

/* Removes what the instance has on the machine. What can't be removed is said and left. */
static void clean_up(struct shim *s)
{
    struct err err;
    clear(s);
    if (network_down(s->spec, s->host, &err) < 0)
        applog_say(&s->log, "Cleaning up: %s", err.msg);
    container_unmount(&s->container);
}

static bool try_to_start(struct shim *s)
{
    struct err err;
    if (start(s, &err) == 0)
        return true;
    set_reason(s, err.msg);
    applog_say(&s->log, "Could not start: %s", s->status.reason);
    return false;
}

/* Feeds the event to the policy and does what it says; a start that fails is an event again. */
static void happen(struct shim *s, enum policy_event event)
{
    for (;;) {
        enum policy_state before = s->policy.state;
        enum policy_action action = policy_step(&s->policy, event, time_mono_ms());
        if (s->policy.state == POLICY_STOPPED && before != POLICY_STOPPED)
            clean_up(s);
        if (action == POLICY_START)
            s->status.restarts++;
        if (s->policy.state != before)
            announce(s, before);
        if (action == POLICY_SIGNAL)
            s->ended =
                stop_app((pid_t)s->status.pid, s->app, s->spec->cgroup, (int)s->spec->signal);
        if (action == POLICY_KILL)
            kill_all(s);
        if (action != POLICY_START || try_to_start(s))
            return;
        event = POLICY_GONE;
    }
}

static void drain(struct shim *s)
{
    while (applog_read(&s->log, s->pipe[0]))
        ;
    applog_finish(&s->log);
}

/* Collects those that crun left to us; crun and the app are waited for by their pidfds. */
static void reap_strays(struct shim *s)
{
    siginfo_t dead = {0};
    while (s->crun < 0 && waitid(P_ALL, 0, &dead, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           dead.si_pid && dead.si_pid != s->status.pid)
        waitpid(dead.si_pid, NULL, 0);
}

static const char *why_no_start(const struct shim *s, int status)
{
    static char text[64];
    if (s->killed)
        return s->policy.state == POLICY_ABORTING ? "stopped while it was being started"
                                                  : "crun did not start it in time";
    if (s->log.last[0])
        return s->log.last;
    snprintf(text, sizeof(text), "crun ended with status %d", status);
    return text;
}

static void on_crun_end(struct shim *s)
{
    int status, sig;
    pid_t pid;
    struct err err;
    if (pidfd_reap(s->crun, &status, &sig) != 1)
        return;
    close_fd(&s->crun);
    if (status == 0 && container_pid(&s->container, &pid, &err) == 0 &&
        (s->app = pidfd_open(pid, 0)) >= 0) {
        s->status.pid = pid;
        s->status.started = time_wall_us();
        memory_watch(&s->memory, s->spec->cgroup, s->spec->memory);
        happen(s, POLICY_STARTED);
        return;
    }
    drain(s);
    set_reason(s, why_no_start(s, status));
    applog_say(&s->log, "Could not start: %s", s->status.reason);
    clear(s);
    reap_strays(s);
    happen(s, POLICY_GONE);
}

/* The name davit-init ended under; "" without one. Only before it is reaped. */
static void last_name(pid_t pid, char ret[32])
{
    char path[32];
    _cleanup_(buf_release) struct buf name = BUF_CAP(32);
    snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
    file_read(path, &name, NULL);
    snprintf(ret, 32, "%.*s", (int)str_trim(buf_str(&name)).len, name.ptr ? name.ptr : "");
}

static void say_exit(struct shim *s, int status, int sig, bool not_started)
{
    char text[REASON_MAX] = "";
    if (not_started)
        snprintf(text, sizeof(text), "%.*s", (int)sizeof(text) - 1, s->log.last);
    else if (s->killed)
        snprintf(text, sizeof(text), "did not stop within %d s", (int)s->spec->grace);
    else if (status == 128 + SIGKILL && cgroup_oom_kills(s->spec->cgroup) > 0)
        snprintf(text, sizeof(text), "out of memory");
    else if (sig && sig != (int)s->spec->signal)
        snprintf(text, sizeof(text), "killed by SIG%s", sigabbrev_np(sig) ?: "RT");
    set_reason(s, text);
    applog_say(&s->log, "Process exited with status %d%s%s%s", status, text[0] ? " (" : "", text,
               text[0] ? ")" : "");
}

static void on_app_end(struct shim *s)
{
    int status, sig;
    char name[32];
    last_name((pid_t)s->status.pid, name);
    if (pidfd_reap(s->app, &status, &sig) != 1)
        return;
    close_fd(&s->app);
    if (streq(name, INIT_KILLED) && status > 128)
        sig = status - 128;
    if (s->ended && sig == SIGKILL)
        status = 128 + (sig = (int)s->spec->signal);
    drain(s);
    memory_unwatch(&s->memory);
    s->status.pid = 0;
    s->status.exit = status;
    say_exit(s, status, sig, streq(name, INIT_NOT_STARTED));
    clear(s);
    reap_strays(s);
    happen(s, POLICY_GONE);
}

static void on_signal(struct shim *s)
{
    struct signalfd_siginfo info;
    while (read(s->signals, &info, sizeof(info)) == sizeof(info))
        if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
            happen(s, POLICY_TERM);
        else if (info.ssi_signo == SIGUSR1)
            happen(s, POLICY_RESTART);
        else if (info.ssi_signo == SIGCHLD)
            reap_strays(s);
}

static bool is_over(int64_t at_ms) { return at_ms && at_ms <= time_mono_ms(); }

static int wait_ms(const struct shim *s)
{
    int64_t policy = s->policy.wake_ms, memory = s->memory.look_ms;
    int64_t next = policy && memory ? MIN(policy, memory) : MAX(policy, memory);
    if (!next)
        return -1;
    int64_t left = next - time_mono_ms();
    return left <= 0 ? 0 : (int)MIN(left, INT32_MAX);
}

static void loop(struct shim *s)
{
    while (s->policy.state != POLICY_STOPPED) {
        struct pollfd p[] = {{s->signals, POLLIN, 0},
                             {s->pipe[0], POLLIN, 0},
                             {s->crun, POLLIN, 0},
                             {s->app, POLLIN, 0},
                             {memory_fd(&s->memory), POLLIN | POLLPRI, 0}};
        if (poll(p, ARRAY_LEN(p), wait_ms(s)) < 0)
            continue;
        if (p[1].revents)
            applog_read(&s->log, s->pipe[0]);
        if (p[2].revents)
            on_crun_end(s);
        if (p[4].revents || is_over(s->memory.look_ms))
            memory_look(&s->memory, &s->log, time_mono_ms());
        if (p[3].revents)
            on_app_end(s);
        if (p[0].revents)
            on_signal(s);
        if (is_over(s->policy.wake_ms))
            happen(s, POLICY_TIMEOUT);
    }
}

static sigset_t our_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    for (const int *sig = (const int[]){SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD, 0}; *sig; sig++)
        sigaddset(&set, *sig);
    return set;
}

void supervise_hold_signals(void)
{
    sigset_t set = our_signals();
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static int open_fds(struct shim *s, struct err *err)
{
    sigset_t set = our_signals();
    s->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (s->signals < 0 || pipe2(s->pipe, O_CLOEXEC) < 0 ||
        fcntl(s->pipe[0], F_SETFL, O_NONBLOCK) < 0)
        return err_errno(err, "opening pipes");
    fcntl(s->pipe[1], F_SETPIPE_SZ, PIPE_SIZE); /* only quicker */
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        return err_errno(err, "becoming a subreaper");
    return netlink_open(&s->host, err);
}

static int enter_namespaces(struct shim *s, struct err *err)
{
    int r = namespace_mounts(err);
    if (!r)
        r = cgroup_hide_hybrid(err);
    if (r < 0)
        return r;
    container_seal_crun(&s->container);
    int n = namespace_network(err);
    return n || !s->spec->sysfs ? n : namespace_sysfs(s->spec->sysfs, err);
}

int supervise(const char *dir, const struct spec *spec, struct err *err)
{
    static struct shim s; /* the log's buffers are large, and stay untouched until needed */
    s.spec = spec;
    pact_status_init(&s.status);
    s.signals = s.host = s.crun = s.app = s.memory.fd = -1;
    s.status_path = xasprintf("%s/status", dir);
    s.tail_path = xasprintf("%s/tail", dir);
    container_init(&s.container, spec, dir);
    applog_init(&s.log, spec->log, spec->process, spec->log_max, spec->log_files, s.tail_path);
    int r = open_fds(&s, err);
    if (!r)
        r = enter_namespaces(&s, err);
    if (r < 0)
        return r;
    policy_init(&s.policy, spec->restart, (int64_t)spec->grace * 1000, time_mono_ms());
    if (try_to_start(&s)) /* said after it is done: every start waits for this, nobody for that */
        announce(&s, POLICY_STARTING);
    else
        happen(&s, POLICY_GONE);
    loop(&s);
    return 0;
}
