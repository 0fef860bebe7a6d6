#include "os/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "os/cgroup.h"

enum { CHILD_STACK = 256 * 1024 };

/* What the child gets to know. */
struct birth {
    const struct spawn *spawn;
    const int *fds;
    const struct cgroup_gate *gate; /* NULL: it stays in our group */
    pid_t parent;
    int report; /* errno goes here */
};

/* Ids are changed by bare system calls: libc's would do it to the threads it finds in the memory,
 * which are the parent's. */
__attribute__((no_sanitize("address"))) static int become(uid_t uid, gid_t gid)
{
    if (gid && (syscall(SYS_setgroups, 0, NULL) < 0 || syscall(SYS_setresgid, gid, gid, gid) < 0))
        return -1;
    return uid ? (int)syscall(SYS_setresuid, uid, uid, uid) : 0;
}

/* All signals, those too that libc keeps to itself and doesn't let signal() touch: GNU make, for
 * one, hands them on ignored. The kernel's struct sigaction, all zero, is SIG_DFL. */
__attribute__((no_sanitize("address"))) static void forget_signals(void)
{
    static const struct {
        void *handler;
        unsigned long flags;
        void *restorer;
        unsigned long mask;
    } standard;
    for (int sig = 1; sig < NSIG; sig++)
        syscall(SYS_rt_sigaction, sig, &standard, NULL, sizeof(standard.mask));
}

/* Runs in the child, in the parent's memory and while that stands still: only async-signal-safe
 * calls. Never returns; AddressSanitizer would remember its frames for whatever is mapped there
 * next. */
__attribute__((no_sanitize("address"))) static int child(void *arg)
{
    const struct birth *b = arg;
    const struct spawn *s = b->spawn;
    const int *fds = b->fds;
    int report = b->report;
    sigset_t none;
    sigemptyset(&none);
    forget_signals();
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (s->new_session)
        setsid();
    if (s->die_with_parent && (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != b->parent))
        _exit(127);
    /* First out of the way of 0–3, then into place: a source may itself be one of them. */
    int high[4], n = s->fd3 ? 4 : 3, told = fcntl(report, F_DUPFD_CLOEXEC, 4);
    if (told < 0)
        goto failed;
    report = told;
    if (b->gate && cgroup_enter(b->gate) < 0)
        goto failed;
    for (int i = 0; i < n; i++)
        if ((high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 4)) < 0)
            goto failed;
    for (int i = 0; i < n; i++)
        if (dup2(high[i], i) < 0)
            goto failed;
    if (s->cwd && chdir(s->cwd) < 0)
        goto failed;
    if (become(s->uid, s->gid) < 0)
        goto failed;
    syscall(SYS_close_range, n, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */);
    if (s->env)
        execvpe(s->argv[0], (char *const *)s->argv, (char *const *)s->env);
    else
        execvp(s->argv[0], (char *const *)s->argv);
failed:;
    int e = errno;
    if (write(report, &e, sizeof(e)) < 0)
        _exit(126);
    _exit(127);
}

/* Like fork, but nothing is copied: the child has our memory, a stack of its own, and us waiting
 * until it executes its program or ends. */
static pid_t share_memory(struct birth *b)
{
    char *stack = mmap(NULL, CHILD_STACK, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED)
        return -1;
    pid_t pid = clone(child, stack + CHILD_STACK, CLONE_VM | CLONE_VFORK | SIGCHLD, b);
    int e = errno;
    munmap(stack, CHILD_STACK);
    errno = e;
    return pid;
}

static pid_t with_a_copy(struct birth *b)
{
    pid_t pid = b->gate ? cgroup_clone(b->gate) : fork();
    if (pid == 0)
        child(b);
    return pid;
}

#ifdef __SANITIZE_THREAD__
enum { THREAD_SANITIZER = true }; /* knows no threads but those of pthread_create */
#else
enum { THREAD_SANITIZER = false };
#endif

/* No signal handler of ours runs in the child. */
static pid_t give_birth(struct birth *b)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pid_t pid = b->gate || THREAD_SANITIZER ? with_a_copy(b) : share_memory(b);
    int e = errno;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = e;
    return pid;
}

int spawn_no_input(struct err *err)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_errno(err, "making a pipe");
    close(fds[1]);
    return fds[0];
}

static pid_t start(const struct spawn *s, const struct cgroup_gate *gate, struct err *err)
{
    _cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int pipefd[2];
    if (null < 0 || pipe2(pipefd, O_CLOEXEC) < 0)
        return err_errno(err, "starting %s", s->argv[0]);
    int fds[4] = {[3] = s->fd3};
    for (int i = 0; i < 3; i++)
        fds[i] = s->fds[i] < 0 ? null : s->fds[i];
    struct birth birth = {s, fds, gate, getpid(), pipefd[1]};
    pid_t pid = give_birth(&birth);
    close(pipefd[1]);
    int e = 0;
    ssize_t n = pid < 0 ? -1 : TEMP_FAILURE_RETRY(read(pipefd[0], &e, sizeof(e)));
    close(pipefd[0]);
    if (pid < 0)
        return err_errno(err, "starting %s", s->argv[0]);
    if (n == (ssize_t)sizeof(e)) {
        spawn_wait(pid);
        errno = e;
        return err_errno(err, "starting %s", s->argv[0]);
    }
    if (s->pidfd)
        *s->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    return pid;
}

/* Values stay out of the arguments, which everybody sees: a proxy's may hold a password. */
static bool is_kept(struct str name)
{
    static const char *const kept[] = {"PATH",         "http_proxy",     "https_proxy",
                                       "all_proxy",    "no_proxy",       "HTTP_PROXY",
                                       "ALL_PROXY",    "NO_PROXY",       "SSL_CERT_FILE",
                                       "SSL_CERT_DIR", "CURL_CA_BUNDLE", "HTTPS_PROXY"};
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        if (str_eq(name, str_of(kept[i])))
            return true;
    return !name.len || str_starts(name, STR("GIT_")); /* callers set those for git */
}

void spawn_as(uid_t uid, struct strv *ret)
{
    strv_add(ret, "setpriv");
    strv_addf(ret, "--reuid=%u", uid);
    strv_addf(ret, "--regid=%u", uid);
    strv_add(ret, "--clear-groups");
    strv_add(ret, "--bounding-set=-all");
    strv_add(ret, "--no-new-privs");
    strv_add(ret, "--pdeathsig=keep"); /* which the kernel forgets when the user changes */
    strv_add(ret, "env");
    for (char **e = environ; *e; e++)
        if (!is_kept((struct str){*e, strcspn(*e, "=")}))
            strv_addf(ret, "--unset=%.*s", (int)strcspn(*e, "="), *e);
    strv_add(ret, "HOME=/nonexistent");
}

pid_t spawn_start(const struct spawn *s, struct err *err)
{
    struct cgroup_gate gate = {0};
    if (!s->cgroup)
        return start(s, NULL, err);
    int r = cgroup_open(s->cgroup, &gate, err);
    if (r < 0)
        return err_wrap(err, "starting %s", s->argv[0]);
    pid_t pid = start(s, &gate, err);
    cgroup_close(&gate);
    return pid;
}

int spawn_wait(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return 255;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Feeds `input` and gathers both outputs without either side blocking the other. */
static void converse(int in, struct str input, int out, struct buf *ret_out, int errfd,
                     struct buf *ret_err)
{
    struct pollfd p[3] = {{in, POLLOUT, 0}, {out, POLLIN, 0}, {errfd, POLLIN, 0}};
    struct buf *sinks[3] = {NULL, ret_out, ret_err};
    while (p[0].fd >= 0 || p[1].fd >= 0 || p[2].fd >= 0) {
        if (p[0].fd >= 0 && !input.len) {
            close(p[0].fd);
            p[0].fd = -1;
            continue;
        }
        if (poll(p, 3, -1) < 0 && errno != EINTR)
            break;
        if (p[0].fd >= 0 && p[0].revents) {
            ssize_t n = write(p[0].fd, input.ptr, input.len);
            if (n > 0)
                input.ptr += n, input.len -= (size_t)n;
            else if (errno != EAGAIN && errno != EINTR)
                input.len = 0;
        }
        for (int i = 1; i < 3; i++) {
            char chunk[16384];
            if (p[i].fd < 0 || !p[i].revents)
                continue;
            ssize_t n = read(p[i].fd, chunk, sizeof(chunk));
            if (n > 0 && sinks[i])
                buf_add(sinks[i], chunk, (size_t)n);
            else if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) {
                close(p[i].fd);
                p[i].fd = -1;
            }
        }
    }
}

static void close_pipes(const int (*pipes)[3][2])
{
    for (int i = 0; i < 6; i++)
        closep(&(*pipes)[i / 2][i % 2]);
}

static void close_end(int *fd)
{
    closep(fd);
    *fd = -1;
}

int spawn_run(const char *const *argv, struct str input, struct buf *out, struct err *err)
{
    _cleanup_(close_pipes) int pipes[3][2] = {{-1, -1}, {-1, -1}, {-1, -1}};
    int *in = pipes[0], *o = pipes[1], *e = pipes[2];
    if ((input.ptr && pipe2(in, O_CLOEXEC) < 0) || pipe2(o, O_CLOEXEC) < 0 ||
        pipe2(e, O_CLOEXEC) < 0)
        return err_errno(err, "starting %s", argv[0]);
    if (in[1] >= 0)
        fcntl(in[1], F_SETFL, O_NONBLOCK);
    struct spawn s = {.argv = argv, .fds = {in[0], o[1], e[1]}, .die_with_parent = true};
    struct sigaction ignore = {.sa_handler = SIG_IGN}, old;
    sigaction(SIGPIPE, &ignore, &old);
    pid_t pid = spawn_start(&s, err);
    close_end(&in[0]);
    close_end(&o[1]);
    close_end(&e[1]);
    _cleanup_(buf_release) struct buf complaint = BUF_CAP(65536);
    if (pid > 0) {
        converse(in[1], input, o[0], out, e[0], &complaint);
        in[1] = o[0] = e[0] = -1;
    }
    sigaction(SIGPIPE, &old, NULL);
    if (pid < 0)
        return pid;
    int status = spawn_wait(pid);
    if (status == 0)
        return out ? buf_check(out, argv[0], err) : 0;
    struct str said = str_trim(buf_str(&complaint));
    const char *last = said.len ? memrchr(said.ptr, '\n', said.len) : NULL;
    if (last) {
        said.len -= (size_t)(last + 1 - said.ptr);
        said.ptr = last + 1;
    }
    return err_set(err, ERR_INTERNAL, "%s ended with status %d%s%.*s", argv[0], status,
                   said.len ? ": " : "", (int)said.len, said.ptr);
}
