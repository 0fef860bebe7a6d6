/* Groups with limits, and the way in. What a group has to do with the rest is in cgroup.c. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "os/cgroup.h"
#include "os/file.h"

#define CGROUPS "/sys/fs/cgroup"

/* The controllers that keep the limits: of version 1 each is a hierarchy. */
static const char *const controllers[] = {"memory", "pids", "cpu"};

static bool unified(void) { return path_exists(CGROUPS "/cgroup.controllers"); }

static int set(const char *group, const char *file, int64_t value, struct err *err)
{
    char text[24];
    _cleanup_free_ char *path = xasprintf("%s/%s", group, file);
    snprintf(text, sizeof(text), "%lld", (long long)value);
    int r = file_set(path, text, err);
    return r == 0 || path_exists(path)
               ? r
               : err_set(err, ERR_UNAVAILABLE, "the kernel keeps no %s for %s", file, group);
}

static int make_folder(const char *path, struct err *err)
{
    return mkdir(path, 0755) < 0 && errno != EEXIST ? err_errno(err, "making %s", path) : 0;
}

/* ---- version 1 ---- */

/* The group in one hierarchy, and those above it. */
static int make_in(const char *hierarchy, const char *path, struct err *err)
{
    _cleanup_free_ char *folder = xasprintf("%s/%s", hierarchy, path);
    return dir_make(folder, 0755, err);
}

static int limit_v1(const char *path, const struct cgroup_limits *l, struct err *err)
{
    _cleanup_free_ char *memory = xasprintf(CGROUPS "/memory/%s", path);
    _cleanup_free_ char *pids = xasprintf(CGROUPS "/pids/%s", path);
    _cleanup_free_ char *cpu = xasprintf(CGROUPS "/cpu/%s", path);
    int r = 0;
    if (l->memory)
        r = set(memory, "memory.limit_in_bytes", l->memory, err);
    if (!r && l->memory && path_exists(CGROUPS "/memory/memory.memsw.limit_in_bytes"))
        r = set(memory, "memory.memsw.limit_in_bytes", l->memory, err);
    if (!r && l->pids)
        r = set(pids, "pids.max", l->pids, err);
    if (!r && l->cpu_weight)
        r = set(cpu, "cpu.shares", MAX(l->cpu_weight * 1024 / 100, (int64_t)2), err);
    return r;
}

static int make_v1(const char *path, const struct cgroup_limits *l, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(controllers); i++) {
        _cleanup_free_ char *hierarchy = xasprintf("%s/%s", CGROUPS, controllers[i]);
        int r = path_exists(hierarchy) ? make_in(hierarchy, path, err) : 0;
        if (r < 0)
            return r;
    }
    return limit_v1(path, l, err);
}

/* ---- version 2 ---- */

static bool has_word(const char *file, const char *word)
{
    _cleanup_(buf_release) struct buf text = BUF_CAP(4096);
    file_read(file, &text, NULL);
    for (struct str rest = str_trim(buf_str(&text)); rest.len;)
        if (str_eq(str_cut(&rest, ' '), str_of(word)))
            return true;
    return false;
}

/* Lets the groups in `group` have all the controllers that it has itself. Written only when it
 * changes anything: the kernel would wait for groups that are being removed. */
static int share_controllers(const char *group, struct err *err)
{
    _cleanup_free_ char *has = xasprintf("%s/cgroup.controllers", group);
    _cleanup_free_ char *gives = xasprintf("%s/cgroup.subtree_control", group);
    for (size_t i = 0; i < ARRAY_LEN(controllers); i++) {
        _cleanup_free_ char *word = xasprintf("+%s", controllers[i]);
        bool missing = has_word(has, controllers[i]) && !has_word(gives, controllers[i]);
        int r = missing ? file_set(gives, word, err) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

static int limit_v2(const char *group, const struct cgroup_limits *l, struct err *err)
{
    _cleanup_free_ char *swap = xasprintf("%s/memory.swap.max", group);
    int r = 0;
    if (l->memory)
        r = set(group, "memory.max", l->memory, err);
    if (!r && l->memory && path_exists(swap))
        r = set(group, "memory.swap.max", 0, err);
    if (!r && l->pids)
        r = set(group, "pids.max", l->pids, err);
    if (!r && l->cpu_weight)
        r = set(group, "cpu.weight", l->cpu_weight, err);
    return r;
}

static int make_v2(const char *path, const struct cgroup_limits *l, struct err *err)
{
    _cleanup_free_ char *group = xstrdup(CGROUPS);
    int r = 0;
    for (struct str rest = str_of(path), name; !r && rest.len;) {
        name = str_cut(&rest, '/');
        if (!name.len)
            continue;
        r = share_controllers(group, err);
        char *below = xasprintf("%s/%.*s", group, (int)name.len, name.ptr);
        free(group);
        group = below;
        if (!r)
            r = make_folder(group, err);
    }
    return r ? r : limit_v2(group, l, err);
}

int cgroup_make(const char *path, const struct cgroup_limits *l, struct err *err)
{
    return unified() ? make_v2(path, l, err) : make_v1(path, l, err);
}

/* ---- the way in ---- */

void cgroup_close(struct cgroup_gate *g)
{
    for (unsigned i = 0; i < g->n; i++)
        close(g->fds[i]);
    g->n = 0;
}

int cgroup_open(const char *path, struct cgroup_gate *ret, struct err *err)
{
    struct cgroup_gate g = {.unified = unified()};
    for (size_t i = 0; i < (g.unified ? 1 : ARRAY_LEN(controllers)); i++) {
        _cleanup_free_ char *entrance =
            g.unified ? xasprintf(CGROUPS "/%s", path)
                      : xasprintf(CGROUPS "/%s/%s/tasks", controllers[i], path);
        int fd = open(entrance, (g.unified ? O_PATH | O_DIRECTORY : O_WRONLY) | O_CLOEXEC);
        if (fd >= 0) {
            g.fds[g.n++] = fd;
        } else if (g.unified || errno != ENOENT) {
            int r = err_errno(err, "opening %s", entrance);
            cgroup_close(&g);
            return r;
        }
    }
    *ret = g;
    return 0;
}

static pid_t born_in(const struct cgroup_gate *g, uint64_t flags, uint64_t exit_signal)
{
    struct clone_args how = {.flags = CLONE_INTO_CGROUP | flags,
                             .exit_signal = exit_signal,
                             .cgroup = (uint64_t)g->fds[0]};
    return (pid_t)syscall(SYS_clone3, &how, sizeof(how));
}

pid_t cgroup_clone(const struct cgroup_gate *g)
{
    return g->unified ? born_in(g, 0, SIGCHLD) : fork();
}

/* By a process between us and the child, whose one thread holds no lock. CLONE_PARENT makes the
 * child ours. */
pid_t cgroup_fork(const struct cgroup_gate *g)
{
    int told[2];
    if (!g->unified)
        return fork();
    if (pipe2(told, O_CLOEXEC) < 0)
        return -1;
    pid_t pid = -1, between = fork();
    if (between == 0) {
        pid = born_in(g, CLONE_PARENT, 0);
        pid_t result = pid < 0 ? -errno : pid;
        if (pid != 0)
            _exit(write(told[1], &result, sizeof(result)) < 0);
        close(told[0]);
        close(told[1]);
        return 0;
    }
    int e = errno;
    close(told[1]);
    if (between > 0) {
        if (TEMP_FAILURE_RETRY(read(told[0], &pid, sizeof(pid))) != sizeof(pid))
            pid = -EAGAIN; /* it was killed */
        e = -pid;
        while (waitpid(between, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    close(told[0]);
    errno = e;
    return pid < 0 ? -1 : pid;
}

__attribute__((no_sanitize("address"))) int cgroup_enter(const struct cgroup_gate *g)
{
    for (unsigned i = 0; !g->unified && i < g->n; i++)
        if (write(g->fds[i], "0", 1) < 0) /* the thread that writes */
            return -1;
    return 0;
}
