#include "os/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/str.h"
#include "base/time.h"
#include "os/file.h"

#define CGROUPS "/sys/fs/cgroup"

static bool is_fs(const char *path, long magic)
{
    struct statfs fs;
    return statfs(path, &fs) == 0 && fs.f_type == magic;
}

/* The group's folder in each hierarchy where it exists. Links (cpu → cpu,cpuacct) are left out. */
static void group_folders(const char *path, struct strv *ret)
{
    struct stat st;
    while (*path == '/')
        path++;
    if (!*path)
        return; /* never the root: it holds the host */
    if (is_fs(CGROUPS, CGROUP2_SUPER_MAGIC)) {
        _cleanup_free_ char *only = xasprintf(CGROUPS "/%s", path);
        if (stat(only, &st) == 0)
            strv_add(ret, only);
        return;
    }
    DIR *dir = opendir(CGROUPS);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (e->d_name[0] == '.' || e->d_type != DT_DIR)
            continue;
        _cleanup_free_ char *one = xasprintf(CGROUPS "/%s/%s", e->d_name, path);
        if (is_fs(one, CGROUP_SUPER_MAGIC) || is_fs(one, CGROUP2_SUPER_MAGIC))
            strv_add(ret, one);
    }
    if (dir)
        closedir(dir);
}

int cgroup_make_below(const char *path, const char *name, struct err *err)
{
    _cleanup_(strv_release) struct strv folders = {0};
    group_folders(path, &folders);
    for (size_t i = 0; i < folders.n; i++) {
        _cleanup_free_ char *below = xasprintf("%s/%s", folders.items[i], name);
        if (mkdir(below, 0755) < 0 && errno != EEXIST)
            return err_errno(err, "making %s", below);
    }
    return folders.n ? 0 : err_set(err, ERR_NOT_FOUND, "there is no cgroup %s", path);
}

bool cgroup_exists(const char *path)
{
    _cleanup_(strv_release) struct strv folders = {0};
    group_folders(path, &folders);
    return folders.n > 0;
}

/* Adds `folder` and all below it, each before those inside it. */
static void add_tree(const char *folder, struct strv *ret)
{
    strv_add(ret, folder);
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (e->d_name[0] == '.' || e->d_type != DT_DIR)
            continue;
        _cleanup_free_ char *below = xasprintf("%s/%s", folder, e->d_name);
        add_tree(below, ret);
    }
    if (dir)
        closedir(dir);
}

static void group_trees(const char *path, struct strv *ret)
{
    _cleanup_(strv_release) struct strv folders = {0};
    group_folders(path, &folders);
    for (size_t i = 0; i < folders.n; i++)
        add_tree(folders.items[i], ret);
}

/* Sends a signal to those in one folder's group that `whom` (NULL: all) picks; says to how many. */
static size_t signal_members(const char *folder, int sig, bool (*whom)(pid_t pid, void *ctx),
                             void *ctx)
{
    _cleanup_free_ char *procs = xasprintf("%s/cgroup.procs", folder);
    _cleanup_(buf_release) struct buf text = BUF_CAP((size_t)1 << 20);
    if (file_read(procs, &text, NULL) < 0)
        return 0; /* gone meanwhile */
    size_t n = 0;
    for (struct str rest = buf_str(&text), line; rest.len;) {
        uint64_t pid;
        line = str_cut(&rest, '\n');
        if (str_to_u64(line, 1, INT32_MAX, &pid, NULL) < 0 || (whom && !whom((pid_t)pid, ctx)))
            continue;
        n++;
        kill((pid_t)pid, sig);
    }
    return n;
}

/* Some of those that are killed, to be waited for; the others are looked at again after them. */
struct dying {
    int pidfds[32];
    size_t n;
};

static bool note_dying(pid_t pid, void *ctx)
{
    struct dying *d = ctx;
    int fd = d->n < ARRAY_LEN(d->pidfds) ? pidfd_open(pid, 0) : -1;
    if (fd >= 0)
        d->pidfds[d->n++] = fd;
    return true;
}

static void wait_for(const struct dying *d, int64_t deadline)
{
    for (size_t i = 0; i < d->n; i++) {
        int64_t left = MAX(deadline - time_mono_ms(), (int64_t)0);
        poll(&(struct pollfd){d->pidfds[i], POLLIN, 0}, 1, (int)left);
        close(d->pidfds[i]);
    }
}

/* SIGKILL, to all at once where the kernel can (version 2). */
static size_t kill_members(const char *folder, struct dying *ret)
{
    _cleanup_free_ char *all = xasprintf("%s/cgroup.kill", folder);
    size_t n = signal_members(folder, SIGKILL, note_dying, ret);
    if (n)
        file_set(all, "1", NULL); /* those that were born meanwhile, too */
    return n;
}

size_t cgroup_signal(const char *path, int sig, bool (*whom)(pid_t pid, void *ctx), void *ctx)
{
    _cleanup_(strv_release) struct strv folders = {0};
    _cleanup_(strv_release) struct strv tree = {0};
    size_t n = 0;
    group_folders(path, &folders);
    if (folders.n) /* the same processes are in each hierarchy */
        add_tree(folders.items[0], &tree);
    for (size_t i = 0; i < tree.n; i++)
        n += signal_members(tree.items[i], sig, whom, ctx);
    return n;
}

int cgroup_kill(const char *path, unsigned timeout_ms, struct err *err)
{
    int64_t deadline = time_mono_ms() + timeout_ms;
    for (;;) {
        _cleanup_(strv_release) struct strv folders = {0};
        struct dying dying = {.n = 0};
        size_t left = 0;
        group_trees(path, &folders);
        /* Again and again: a process may fork between the reading of the list and its end. */
        for (size_t i = 0; i < folders.n; i++)
            left += kill_members(folders.items[i], &dying);
        wait_for(&dying, deadline);
        if (!left)
            return 0;
        if (time_mono_ms() >= deadline)
            return err_set(err, ERR_TIMEOUT, "%zu processes of cgroup %s can't be killed", left,
                           path);
    }
}

int cgroup_remove(const char *path, struct err *err)
{
    _cleanup_(strv_release) struct strv folders = {0};
    group_trees(path, &folders);
    for (size_t i = folders.n; i-- > 0;)
        if (rmdir(folders.items[i]) < 0 && errno != ENOENT)
            return err_errno(err, "removing cgroup %s", folders.items[i]);
    return 0;
}

/* The number behind `key` in a file of lines "key number"; 0 if there is none. */
static uint64_t keyed_number(const char *path, struct str key)
{
    _cleanup_(buf_release) struct buf text = BUF_CAP(16384);
    if (file_read(path, &text, NULL) < 0)
        return 0;
    for (struct str rest = buf_str(&text); rest.len;) {
        struct str value = str_cut(&rest, '\n'), name = str_cut(&value, ' ');
        uint64_t n;
        if (str_eq(name, key) && str_to_u64(value, 0, UINT64_MAX, &n, NULL) == 0)
            return n;
    }
    return 0;
}

void cgroup_children(const char *path, struct strv *ret)
{
    _cleanup_(strv_release) struct strv folders = {0};
    group_folders(path, &folders);
    for (size_t i = 0; i < folders.n; i++) {
        DIR *dir = opendir(folders.items[i]);
        for (struct dirent *e; dir && (e = readdir(dir));)
            if (e->d_type == DT_DIR && e->d_name[0] != '.' && !strv_has(ret, e->d_name))
                strv_add(ret, e->d_name);
        if (dir)
            closedir(dir);
    }
}

/* A file of the group's memory controller; the names differ between the versions. */
static char *memory_file(const char *path, const char *one, const char *two)
{
    while (*path == '/')
        path++;
    return is_fs(CGROUPS, CGROUP2_SUPER_MAGIC) ? xasprintf(CGROUPS "/%s/%s", path, two)
                                               : xasprintf(CGROUPS "/memory/%s/%s", path, one);
}

uint64_t cgroup_oom_kills(const char *path)
{
    _cleanup_free_ char *file = memory_file(path, "memory.oom_control", "memory.events");
    return keyed_number(file, STR("oom_kill"));
}

struct cgroup_memory cgroup_memory(const char *path)
{
    _cleanup_free_ char *usage = memory_file(path, "memory.usage_in_bytes", "memory.current");
    _cleanup_free_ char *stat = memory_file(path, "memory.stat", "memory.stat");
    _cleanup_(buf_release) struct buf text = BUF_CAP(64);
    struct cgroup_memory m = {0};
    if (file_read(usage, &text, NULL) < 0 ||
        str_to_u64(str_trim(buf_str(&text)), 0, UINT64_MAX, &m.used, NULL) < 0)
        return (struct cgroup_memory){0};
    uint64_t cache =
        keyed_number(stat, STR("active_file")) + keyed_number(stat, STR("inactive_file"));
    m.needed = m.used - MIN(cache, m.used);
    return m;
}

/* Version 1 is told in cgroup.event_control whom to wake, and when. */
static int wake_at(const char *path, int watched, int woken, uint64_t mark, struct err *err)
{
    _cleanup_free_ char *control = memory_file(path, "cgroup.event_control", "");
    char text[64];
    snprintf(text, sizeof(text), "%d %d %llu", woken, watched, (unsigned long long)mark);
    return file_set(control, text, err);
}

int cgroup_watch_memory(const char *path, uint64_t mark, int *ret, struct err *err)
{
    _cleanup_free_ char *file = memory_file(path, "memory.usage_in_bytes", "memory.events");
    _cleanup_close_ int watched = open(file, O_RDONLY | O_CLOEXEC), woken = -1;
    if (watched < 0)
        return err_errno(err, "opening %s", file);
    if (is_fs(CGROUPS, CGROUP2_SUPER_MAGIC)) {
        *ret = TAKE_FD(watched);
        return 0;
    }
    woken = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (woken < 0)
        return err_errno(err, "making an eventfd");
    int r = wake_at(path, watched, woken, mark, err);
    if (!r)
        *ret = TAKE_FD(woken);
    return r;
}

int cgroup_hide_hybrid(struct err *err)
{
    if (is_fs(CGROUPS, CGROUP2_SUPER_MAGIC) || !is_fs(CGROUPS "/unified", CGROUP2_SUPER_MAGIC))
        return 0;
    /* A cover, since crun makes folders in what it takes for one more hierarchy: they go with it.
     */
    if (mount("hidden", CGROUPS "/unified", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=1m") <
        0)
        return err_errno(err, "hiding " CGROUPS "/unified");
    return 0;
}
