#include "builder/cage.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/time.h"
#include "os/cgroup.h"
#include "os/namespace.h"
#include "os/spawn.h"

enum { TICK_MS = 500 };

/* The child says what went wrong through a pipe that closes when the program is executed. */
static void give_up(int report, const struct err *err)
{
    if (write(report, err, sizeof(*err)) < 0)
        _exit(126);
    _exit(127);
}

static void forget_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    for (int sig = 1; sig < NSIG; sig++)
        signal(sig, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The first process of the new process namespace: when it dies, all in there do. */
static int inner(const struct cage *c, int out, struct err *err)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return err_errno(err, "asking to die with the build");
    if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        return err_errno(err, "mounting /proc");
    int input = spawn_no_input(err);
    if (input < 0)
        return input;
    if (dup2(input, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
        return err_errno(err, "handing over its output");
    syscall(SYS_close_range, 3, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */);
    if (c->env)
        execvpe(c->argv[0], (char *const *)c->argv, (char *const *)c->env);
    else
        execvp(c->argv[0], (char *const *)c->argv);
    return err_errno(err, "executing it");
}

static int separate(const struct cage *c, struct err *err)
{
    int r = namespace_mounts(err);
    if (r < 0)
        return r;
    if ((r = cgroup_hide_hybrid(err)) < 0 || (c->prepare && (r = c->prepare(c->ctx, err)) < 0))
        return r;
    /* Last: the next child is the first process in there, and that shall be the program. */
    return unshare(CLONE_NEWPID) < 0 ? err_errno(err, "making a process namespace") : 0;
}

/* Between us and the program: holds the namespaces and passes the exit status on. */
static void outer(const struct cage *c, const struct cgroup_gate *gate, pid_t parent, int out,
                  int report)
{
    struct err err = {0};
    forget_signals();
    setsid();
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
        _exit(127);
    if (cgroup_enter(gate) < 0) {
        err_errno(&err, "entering its control group");
        give_up(report, &err);
    }
    if (separate(c, &err) < 0)
        give_up(report, &err);
    pid_t pid = fork();
    if (pid < 0) {
        err_errno(&err, "fork");
        give_up(report, &err);
    }
    if (pid == 0) {
        inner(c, out, &err);
        give_up(report, &err);
    }
    syscall(SYS_close_range, 0, ~0U, 0);
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            _exit(255);
    _exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

/* *ret_pidfd polls readable when it has ended; killing that process kills everything inside. */
static pid_t start(const struct cage *c, const struct cgroup_gate *gate, int out, int *ret_pidfd,
                   struct err *err)
{
    int report[2];
    if (pipe2(report, O_CLOEXEC) < 0)
        return err_errno(err, "starting %s", c->argv[0]);
    pid_t parent = getpid();
    pid_t pid = cgroup_fork(gate);
    if (pid == 0)
        outer(c, gate, parent, out, report[1]);
    close(report[1]);
    struct err said = {0};
    ssize_t n = pid < 0 ? -1 : TEMP_FAILURE_RETRY(read(report[0], &said, sizeof(said)));
    close(report[0]);
    if (pid < 0)
        return err_errno(err, "starting %s", c->argv[0]);
    int pidfd = n > 0 ? -1 : pidfd_open(pid, 0);
    if (pidfd >= 0) {
        *ret_pidfd = pidfd;
        return pid;
    }
    if (n <= 0) {
        err_errno(&said, "pidfd_open");
        kill(pid, SIGKILL);
    }
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return err_set(err, said.code, "starting %s: %s", c->argv[0], said.msg);
}

int cancel_check(const struct cancel *c, struct err *err)
{
    return c && *c->flag ? err_set(err, ERR_CANCELLED, "cancelled") : 0;
}

static int interrupted(const struct cage *c, int64_t deadline, struct err *err)
{
    int r = cancel_check(c->cancel, err);
    if (r < 0 || time_mono_ms() < deadline)
        return r;
    err_set(err, ERR_TIMEOUT, "it took longer than %lld s", (long long)c->timeout_s);
    return err_hint(err, "The setting build_timeout allows more.");
}

static void pass_on(struct pollfd *from, struct output *out)
{
    char chunk[16384];
    ssize_t n = -1;
    while (from->fd >= 0 && (n = read(from->fd, chunk, sizeof(chunk))) > 0)
        output_feed(out, chunk, (size_t)n);
    if (n == 0)
        from->fd = -1;
}

/* Passes the output on until the program has ended. What it left running behind it may hold the
 * pipe open: the end counts, not the pipe. */
static int follow(const struct cage *c, int from, int pidfd, struct output *out, struct err *err)
{
    int64_t deadline = time_mono_ms() + c->timeout_s * 1000;
    struct pollfd p[] = {
        {from, POLLIN, 0}, {pidfd, POLLIN, 0}, {c->cancel ? c->cancel->fd : -1, POLLIN, 0}};
    for (;;) {
        int r = interrupted(c, deadline, err);
        if (r < 0)
            return r;
        int64_t wait = MAX(deadline - time_mono_ms(), (int64_t)0);
        if (poll(p, 3, (int)MIN(wait, (int64_t)TICK_MS)) < 0 && errno != EINTR)
            return err_errno(err, "waiting for %s", c->argv[0]);
        pass_on(&p[0], out);
        if (p[1].revents)
            return 0;
    }
}

static int open_pipe(uid_t owner, int *ret_read, int *ret_write, struct err *err)
{
    int p[2];
    if (pipe2(p, O_CLOEXEC) < 0)
        return err_errno(err, "pipe");
    *ret_read = p[0];
    *ret_write = p[1];
    if (fchown(p[1], owner, owner) < 0 || fcntl(p[0], F_SETFL, O_NONBLOCK) < 0)
        return err_errno(err, "pipe");
    return 0;
}

int cage_run(const struct cage *c, struct output *out, int *ret_status, struct err *err)
{
    _cleanup_close_ int from = -1, to = -1, pidfd = -1;
    int r = open_pipe(c->out_owner, &from, &to, err);
    if (r < 0)
        return r;
    struct cgroup_gate gate = {0};
    if (c->cgroup && (r = cgroup_open(c->cgroup, &gate, err)) < 0)
        return r;
    pid_t pid = start(c, &gate, to, &pidfd, err);
    cgroup_close(&gate);
    if (pid < 0)
        return pid;
    close(TAKE_FD(to));
    r = follow(c, from, pidfd, out, err);
    if (r < 0)
        pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
    int status = spawn_wait(pid);
    output_flush(out);
    if (r == 0)
        *ret_status = status;
    return r;
}
