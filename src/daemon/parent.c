#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/time.h"
#include "daemon/daemon.h"
#include "daemon/logfile.h"
#include "os/spawn.h"

enum { BACKOFF_MIN_MS = 100, BACKOFF_MAX_MS = 10000, HEALTHY_MS = 60000, STOP_MS = 10000 };

struct child {
    const struct operator_desc *op;
    pid_t pid;        /* 0: not running */
    int64_t started;  /* mono ms */
    int64_t start_at; /* when it is to be started, while pid is 0 */
    int64_t delay;
};

struct parent {
    const struct config *config;
    const char *program;
    struct logfile *log;
    struct child *children;
    size_t n;
    bool stopping;
    int64_t kill_at; /* while stopping */
};

int64_t backoff_next(int64_t before_ms, int64_t ran_ms)
{
    if (ran_ms >= HEALTHY_MS || before_ms < BACKOFF_MIN_MS)
        return BACKOFF_MIN_MS;
    return MIN(before_ms * 2, (int64_t)BACKOFF_MAX_MS);
}

static void child_start(struct parent *p, struct child *c)
{
    const char *argv[] = {p->program, "--root", *p->config->root ? p->config->root : "/",
                          c->op->name, NULL};
    struct err err;
    struct spawn s = {.argv = argv, .fds = {-1, -1, logfile_pipe(p->log)}, .die_with_parent = true};
    pid_t pid = spawn_start(&s, &err);
    c->started = time_mono_ms();
    if (pid > 0) {
        c->pid = pid;
        return;
    }
    log_error("%s", err.msg);
    c->delay = backoff_next(c->delay, 0);
    c->start_at = c->started + c->delay;
}

static void child_ended(struct parent *p, struct child *c, int status)
{
    int64_t now = time_mono_ms();
    c->pid = 0;
    if (p->stopping)
        return;
    bool clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    c->delay = clean ? 0 : backoff_next(c->delay, now - c->started);
    c->start_at = now + c->delay;
    if (WIFSIGNALED(status))
        log_warning("%s was killed by signal %d (%s); starting it again in %d ms", c->op->name,
                    WTERMSIG(status), strsignal(WTERMSIG(status)), (int)c->delay);
    else if (!clean)
        log_warning("%s ended with status %d; starting it again in %d ms", c->op->name,
                    WEXITSTATUS(status), (int)c->delay);
}

/* Reaps operators, and whatever an operator that died has left to us. */
static void reap(struct parent *p)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        for (size_t i = 0; i < p->n; i++)
            if (p->children[i].pid == pid)
                child_ended(p, &p->children[i], status);
}

static void signal_all(struct parent *p, int sig)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->children[i].pid)
            kill(p->children[i].pid, sig);
}

static void on_signal(struct parent *p, int sig)
{
    switch (sig) {
    case SIGCHLD: reap(p); break;
    case SIGHUP:
        log_info("reloading: each operator starts anew");
        signal_all(p, SIGTERM);
        break;
    case SIGTERM:
    case SIGINT:
        log_info("stopping the operators; apps go on running");
        p->stopping = true;
        p->kill_at = time_mono_ms() + STOP_MS;
        signal_all(p, SIGTERM);
        break;
    }
}

static bool any_running(const struct parent *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->children[i].pid)
            return true;
    return false;
}

/* Does what is due; returns the milliseconds until something will be, -1: nothing. */
static int do_due(struct parent *p)
{
    int64_t now = time_mono_ms(), next = INT64_MAX;
    if (p->stopping) {
        if (now >= p->kill_at) {
            signal_all(p, SIGKILL);
            p->kill_at = now + STOP_MS;
        }
        next = p->kill_at;
    } else
        for (size_t i = 0; i < p->n; i++) {
            struct child *c = &p->children[i];
            if (!c->pid && now >= c->start_at)
                child_start(p, c);
            if (!c->pid)
                next = MIN(next, c->start_at);
        }
    return next == INT64_MAX ? -1 : (int)MAX(next - now, (int64_t)1);
}

static int block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    for (const int *s = (const int[]){SIGCHLD, SIGTERM, SIGINT, SIGHUP, 0}; *s; s++)
        sigaddset(&set, *s);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void loop(struct parent *p, int signals)
{
    struct pollfd fds[] = {{signals, POLLIN, 0}, {logfile_fd(p->log), POLLIN, 0}};
    while (!p->stopping || any_running(p)) {
        int timeout = do_due(p);
        if (poll(fds, ARRAY_LEN(fds), timeout) < 0 && errno != EINTR)
            return;
        struct signalfd_siginfo si;
        while (read(signals, &si, sizeof(si)) == sizeof(si))
            on_signal(p, (int)si.ssi_signo);
        logfile_pump(p->log);
    }
}

/* Goes on in a process of its own, in a session of its own. The one we came from waits for the word
 * that all is started, to be written to *ret_word, and leaves with our status otherwise. */
static int go_background(int *ret_word, struct err *err)
{
    int word[2];
    if (pipe2(word, O_CLOEXEC) < 0)
        return err_errno(err, "going into the background");
    pid_t pid = fork();
    if (pid < 0)
        return err_errno(err, "going into the background");
    if (pid > 0) {
        char c;
        close(word[1]);
        _exit(TEMP_FAILURE_RETRY(read(word[0], &c, 1)) == 1 ? 0 : spawn_wait(pid));
    }
    close(word[0]);
    setsid();
    *ret_word = word[1];
    return chdir("/") < 0 ? err_errno(err, "/") : 0;
}

static void children_make(struct parent *p)
{
    size_t n = 0;
    while (operators[n])
        n++;
    p->children = xcalloc(n, sizeof(*p->children));
    for (size_t i = 0; i < n; i++)
        if (!operators[i]->enabled || operators[i]->enabled(p->config))
            p->children[p->n++].op = operators[i];
}

int parent_run(const struct config *c, const char *program, bool foreground, struct err *err)
{
    _cleanup_close_ int word = -1;
    _cleanup_(logfile_freep) struct logfile *log = NULL;
    int r = foreground ? 0 : go_background(&word, err);
    if (r < 0 || (r = folders_make(c, err)) < 0 || (r = root_lock(c, "davitd", 0, err)) < 0 ||
        (r = logfile_open(c, foreground, &log, err)) < 0)
        return r;
    struct parent p = {.config = c, .program = program, .log = log};
    children_make(&p);
    _cleanup_close_ int signals = block_signals();
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    logfile_take_stderr(log);
    log_info("davitd starts %zu operators", p.n);
    do_due(&p);
    if (word >= 0 && write(word, "", 1) < 0)
        log_warning("nobody waits for the start");
    closep(&word);
    word = -1;
    loop(&p, signals);
    log_info("davitd has stopped");
    logfile_pump(log);
    free(p.children);
    return 0;
}
