/* davit-init PROGRAM [ARGUMENT…]: the first process of an instance. What it does is in init.h.
 *
 * Any image has it and any user runs it: nothing is linked, no capability needed, and of memory it
 * takes a few pages. Signals stay blocked and are waited for, so that no handler is ever run. */
#include "init/init.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init/kernel.h"

enum { NOT_EXECUTABLE = 126, NOT_FOUND = 127, SIGNALS = 64, MASK_SIZE = 8, STATUS_MAX = 4096 };
#define BIT(sig) (UINT64_C(1) << ((sig)-1))

/* Those that tell of a fault of our own aren't held back. */
#define HELD                                                                                       \
    (~(BIT(SIGSEGV) | BIT(SIGBUS) | BIT(SIGILL) | BIT(SIGFPE) | BIT(SIGTRAP) | BIT(SIGSYS) |       \
       BIT(SIGABRT)))

#define SPARE                                                                                      \
    (BIT(SIGCONT) | BIT(SIGURG) | BIT(SIGWINCH) | BIT(SIGTSTP) | BIT(SIGTTIN) | BIT(SIGTTOU))

static long app;    /* its pid; 0: it has ended, */
static int status;  /* like this */
static bool ending; /* a signal went to everybody: the app's end isn't the others' */

static _Noreturn void leave(int code)
{
    for (;;)
        kernel(SYS_exit_group, code, 0, 0, 0);
}

static void be_named(const char *name) { kernel(SYS_prctl, PR_SET_NAME, (long)name, 0, 0); }

/* ---- texts ---- */

static size_t length(const char *s)
{
    size_t n = 0;
    while (s[n])
        n++;
    return n;
}

/* Appends to what ends at `end`; NULL if that is NULL or there is no room. */
static char *append(char *end, const char *limit, const char *s, size_t n)
{
    if (!end || n >= (size_t)(limit - end))
        return NULL;
    for (size_t i = 0; i < n; i++)
        end[i] = s[i];
    end[n] = '\0';
    return end + n;
}

/* What follows `key` in the text or, with it at the beginning, in one of the texts; else NULL. */
static const char *after(const char *text, const char *key)
{
    size_t n = 0;
    while (key[n] && text[n] == key[n])
        n++;
    return key[n] ? NULL : text + n;
}

/* ---- starting the app ---- */

/* The errno of execve; ELIBACC: the file is there, but not what would interpret it. */
static int execute(const char *file, char **argv, char **environment)
{
    int error = (int)-kernel(SYS_execve, (long)file, (long)argv, (long)environment, 0);
    bool there = error == ENOENT && kernel(SYS_faccessat, AT_FDCWD, (long)file, F_OK, 0) == 0;
    return there ? ELIBACC : error;
}

static bool has_folder(const char *program)
{
    for (; *program; program++)
        if (*program == '/')
            return true;
    return false;
}

/* As a shell finds it: the first on the PATH that is a program. */
static int search(char **argv, char **environment)
{
    const char *path = "/bin:/usr/bin", *value;
    int error = ENOENT;
    for (char **e = environment; *e; e++)
        if ((value = after(*e, "PATH=")))
            path = value;
    for (size_t n; path; path = path[n] ? path + n + 1 : NULL) {
        char file[PATH_MAX], *end = file;
        const char *limit = file + sizeof(file);
        for (n = 0; path[n] && path[n] != ':';)
            n++;
        end = append(append(end, limit, path, n), limit, "/", n ? 1 : 0);
        if (!append(end, limit, argv[0], length(argv[0])))
            continue;
        int e = execute(file, argv, environment);
        if (e != ENOENT && e != ENOTDIR && error != EACCES)
            error = e;
    }
    return error;
}

/* The app leads a session of its own, as a first process does. 0, or the errno of what failed. */
static int start(char **argv, char **environment, const uint64_t *mask)
{
    long page =
        kernel(SYS_mmap, 0, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS);
    volatile int *error = (int *)page;
    if (page < 0)
        return (int)-page;
    /* Waits until the program is executed: nobody sees it with our signals. */
    app = kernel(SYS_clone, CLONE_VFORK | SIGCHLD, 0, 0, 0);
    if (app)
        return app < 0 ? (int)-app : *error;
    kernel(SYS_setsid, 0, 0, 0, 0);
    kernel(SYS_rt_sigprocmask, SIG_SETMASK, (long)mask, 0, MASK_SIZE);
    *error = has_folder(argv[0]) ? execute(argv[0], argv, environment) : search(argv, environment);
    leave(NOT_FOUND);
}

static const char *reason(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR: return "not found";
    case EACCES: return "it is not executable";
    case ELIBACC:
        return "the interpreter that it names (a script's first line, a loader) is missing";
    case ENOEXEC: return "it is no program for this machine";
    case E2BIG: return "arguments and config variables are too large together";
    case ENOMEM:
    case EAGAIN: return "no memory or no processes are left";
    default: return "the kernel refuses to";
    }
}

static _Noreturn void give_up(const char *program, int error)
{
    const char *parts[] = {"could not run `", program, "`: ", reason(error), "\n"};
    struct iovec line[sizeof(parts) / sizeof(*parts)];
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
        line[i] = (struct iovec){(char *)parts[i], length(parts[i])};
    kernel(SYS_writev, STDERR_FILENO, (long)line, sizeof(parts) / sizeof(*parts), 0);
    be_named(INIT_NOT_STARTED);
    leave(error == ENOENT || error == ENOTDIR ? NOT_FOUND : NOT_EXECUTABLE);
}

/* Who looks for the app by its command line shall find it, not us. */
static void forget_arguments(char **argv)
{
    for (; *argv; argv++)
        for (char *at = *argv; *at;)
            *at++ = '\0';
}

/* ---- signals ---- */

/* /proc/PID/status of the app; "" if it can't be read. */
static void read_status(char ret[STATUS_MAX])
{
    char path[32], digits[20], *digit = digits + sizeof(digits);
    const char *limit = path + sizeof(path);
    for (long n = app; n; n /= 10)
        *--digit = (char)('0' + n % 10);
    char *end = append(path, limit, "/proc/", 6);
    end = append(end, limit, digit, (size_t)(digits + sizeof(digits) - digit));
    append(end, limit, "/status", 7);
    long fd = kernel(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0);
    long n = fd < 0 ? 0 : kernel(SYS_read, fd, (long)ret, STATUS_MAX - 1, 0);
    ret[n > 0 ? n : 0] = '\0';
    if (fd >= 0)
        kernel(SYS_close, fd, 0, 0, 0);
}

/* The mask in the line that begins with `name`; if there is none: all signals. */
static uint64_t mask_of(const char *text, const char *name)
{
    const char *at = NULL;
    uint64_t mask = 0;
    for (; *text && !at; text++)
        at = after(text, name);
    for (; at && *at && *at != '\n'; at++)
        mask = mask << 4 | (uint64_t)(*at <= '9' ? *at - '0' : *at - 'a' + 10);
    return at ? mask : UINT64_MAX;
}

/* Whether the app does anything else about the signal than to end: it has a handler for it, ignores
 * it or waits for it. */
static bool minds(int sig)
{
    char text[STATUS_MAX];
    read_status(text);
    return (SPARE | mask_of(text, "\nSigCgt:\t") | mask_of(text, "\nSigIgn:\t") |
            mask_of(text, "\nSigBlk:\t")) &
           BIT(sig);
}

/* An app that just ends may be a shell that waits for its command, and that one may have something
 * to finish first: all get the signal then, and we wait for all. */
static void hand_on(int sig)
{
    if (app && minds(sig)) {
        kernel(SYS_kill, app, sig, 0, 0);
        return;
    }
    ending = ending || !(SPARE & BIT(sig));
    kernel(SYS_kill, -1, sig, 0, 0);
}

static void never_run(int sig) { (void)sig; }

/* The kernel's struct sigaction: of a signal that the first process has no handler for it says to
 * everybody outside that it is ignored. */
static void show_handlers(void)
{
    struct {
        void (*handler)(int);
        unsigned long flags;
        void (*restorer)(void);
        uint64_t mask;
    } action = {.handler = never_run};
    for (int sig = 1; sig <= SIGNALS; sig++)
        if (sig != SIGCHLD && HELD & BIT(sig))
            kernel(SYS_rt_sigaction, sig, (long)&action, 0, MASK_SIZE);
}

/* ---- the end ---- */

/* With us ends everything else in the pid namespace. */
static void collect(void)
{
    int how;
    long pid;
    while ((pid = kernel(SYS_wait4, -1, (long)&how, WNOHANG, 0)) > 0) {
        if (pid != app)
            continue;
        app = 0;
        status = WIFSIGNALED(how) ? 128 + WTERMSIG(how) : WEXITSTATUS(how);
        if (WIFSIGNALED(how))
            be_named(INIT_KILLED);
    }
    if (!app && (!ending || pid == -ECHILD))
        leave(status);
}

_Noreturn void begin(long *stack);

_Noreturn __attribute__((used)) void begin(long *stack)
{
    static const uint64_t held = HELD;
    char **argv = (char **)(stack + 1), **environment = argv + *stack + 1;
    uint64_t before;
    /* "Everybody" would be everybody on the machine. */
    if (*stack < 2 || kernel(SYS_getpid, 0, 0, 0, 0) != 1)
        leave(NOT_FOUND);
    kernel(SYS_rt_sigprocmask, SIG_BLOCK, (long)&held, (long)&before, MASK_SIZE);
    int error = start(argv + 1, environment, &before);
    if (error)
        give_up(argv[1], error);
    show_handlers();
    forget_arguments(argv + 1);
    for (;;) {
        long sig = kernel(SYS_rt_sigtimedwait, (long)&held, 0, 0, MASK_SIZE);
        if (sig == SIGCHLD)
            collect();
        else if (sig > 0)
            hand_on((int)sig);
    }
}

KERNEL_ENTRY(begin);
