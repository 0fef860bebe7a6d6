#include "run/fleet.h"

#include <dirent.h>
#include <errno.h>
#include <sys/inotify.h>
#include <sys/pidfd.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/log.h"
#include "base/time.h"
#include "os/cgroup.h"
#include "os/file.h"
#include "os/pidfd.h"
#include "os/spawn.h"
#include "pact/spec.h"
#include "run/disk.h"
#include "run/network.h"
#include "run/spec.h"

enum { STATUS_MAX = 8192, SPEC_MAX = 1 << 20, KILL_MS = 1000 };

struct fleet {
    uv_loop_t *loop;
    const struct config *config;
    struct disk disk;
    struct member **members;
    size_t n;
    int inotify;
    uv_poll_t status_poll;
    void (*changed)(void *ctx, const char *app);
    void *ctx;
};

/* Waits for the end of a shim, whether it is our child or was adopted. */
struct minder {
    uv_poll_t poll;
    int pidfd;
    struct member *member; /* NULL: forgotten */
};

/* ---- names ---- */

bool instance_id_parse(const char *id, int64_t *ret_release, int64_t *ret_generation,
                       int64_t *ret_index)
{
    struct str rest = str_of(id);
    struct str v = str_cut(&rest, '.'), g = str_cut(&rest, '.');
    uint64_t n[3];
    if (v.len < 2 || v.ptr[0] != 'v' || g.len < 2 || g.ptr[0] != 'g' || !rest.ptr)
        return false;
    v.ptr++, v.len--, g.ptr++, g.len--;
    if (str_to_u64(v, 1, INT64_MAX, &n[0], NULL) < 0 ||
        str_to_u64(g, 0, INT64_MAX, &n[1], NULL) < 0 ||
        str_to_u64(rest, 1, INT32_MAX, &n[2], NULL) < 0)
        return false;
    *ret_release = (int64_t)n[0];
    *ret_generation = (int64_t)n[1];
    *ret_index = (int64_t)n[2];
    return true;
}

char *instance_id(int64_t release, int64_t generation, int64_t index)
{
    return xasprintf("v%lld.g%lld.%lld", (long long)release, (long long)generation,
                     (long long)index);
}

/* ---- status files ---- */

static void read_status(struct member *m)
{
    _cleanup_(buf_release) struct buf text = BUF_CAP(STATUS_MAX);
    _cleanup_free_ char *path = path_join(m->run_dir, "status");
    pact_status_release(&m->status);
    if (file_read(path, &text, NULL) == 0)
        pact_status_parse(buf_str(&text), &m->status);
}

static void on_inotify(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct fleet *f = poll->data;
    _Alignas(struct inotify_event) char chunk[16384];
    ssize_t n;
    while ((n = read(f->inotify, chunk, sizeof(chunk))) > 0) {
        for (char *at = chunk; at < chunk + n;) {
            const struct inotify_event *e = (const struct inotify_event *)(void *)at;
            at += sizeof(*e) + e->len;
            bool all = e->mask & IN_Q_OVERFLOW; /* some were lost */
            bool status_file = e->len && streq(e->name, "status");
            for (size_t i = 0; i < f->n; i++) {
                if (!all && !(status_file && f->members[i]->watch == e->wd))
                    continue;
                read_status(f->members[i]);
                member_changed(f->members[i]);
            }
        }
    }
}

static int watch_status(struct member *m, struct err *err)
{
    m->watch = inotify_add_watch(m->fleet->inotify, m->run_dir, IN_MOVED_TO | IN_ONLYDIR);
    return m->watch < 0 ? err_errno(err, "watching %s", m->run_dir) : 0;
}

/* ---- shims ---- */

static void on_minder_closed(uv_handle_t *handle)
{
    struct minder *w = handle->data;
    close(w->pidfd);
    free(w);
}

static void on_shim_ended(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct minder *w = poll->data;
    int exit_status, signal_number;
    pidfd_reap(w->pidfd, &exit_status, &signal_number); /* an adopted one is no child of ours */
    uv_close((uv_handle_t *)&w->poll, on_minder_closed);
    struct member *m = w->member;
    if (!m)
        return;
    m->shim = NULL;
    m->shim_pid = 0;
    read_status(m);
    member_changed(m);
}

static void mind(struct member *m, int pidfd, pid_t pid)
{
    struct minder *w = xcalloc(1, sizeof(*w));
    *w = (struct minder){.pidfd = pidfd, .member = m};
    uv_poll_init(m->fleet->loop, &w->poll, pidfd);
    w->poll.data = w;
    uv_poll_start(&w->poll, UV_READABLE, on_shim_ended);
    m->shim = w;
    m->shim_pid = pid;
}

void member_changed(void *member)
{
    struct member *m = member;
    m->fleet->changed(m->fleet->ctx, m->app);
}

bool member_alive(const struct member *m) { return m->shim != NULL; }

static void adopt_shim(struct member *m)
{
    int pidfd;
    pid_t pid = shim_find(m->run_dir, &pidfd);
    if (pid)
        mind(m, pidfd, pid);
}

void member_signal(struct member *m, int sig)
{
    if (m->shim && pidfd_send_signal(m->shim->pidfd, sig, NULL, 0) < 0 && errno != ESRCH)
        log_warning("%s: signalling its shim: %s", m->name, strerror(errno));
}

int member_launch(struct member *m, struct err *err)
{
    _cleanup_free_ char *program = path_join(m->fleet->config->libexec, "davit-shim");
    const char *const argv[] = {program, m->run_dir, NULL};
    int pidfd;
    struct spawn s = {
        .argv = argv, .fds = {-1, -1, -1}, .cwd = "/", .new_session = true, .pidfd = &pidfd};
    pid_t pid = spawn_start(&s, err);
    if (pid < 0)
        return pid;
    mind(m, pidfd, pid);
    return 0;
}

/* ---- folders ---- */

int member_prepare(struct member *m, struct err *err)
{
    if (path_exists(m->disk))
        disk_set_aside(&m->fleet->disk, m->app, m->disk);
    int r = dir_remove(m->run_dir, err);
    if (r < 0 || (r = dir_make(m->run_dir, 0711, err)) < 0 ||
        (r = dir_make(m->disk, 0700, err)) < 0)
        return r;
    pact_status_release(&m->status);
    return watch_status(m, err);
}

/* ---- members ---- */

static void member_free(struct member *m)
{
    if (m->probe)
        probe_stop(m->probe);
    if (m->shim)
        m->shim->member = NULL;
    if (m->watch >= 0)
        inotify_rm_watch(m->fleet->inotify, m->watch);
    pact_status_release(&m->status);
    char *texts[] = {m->name, m->app, m->type, m->id, m->run_dir, m->disk, m->attempt_error};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        free(texts[i]);
    free(m);
}

size_t fleet_size(const struct fleet *f) { return f->n; }
struct member *fleet_at(const struct fleet *f, size_t i) { return f->members[i]; }

/* Where `name` is, or belongs. */
static size_t place(const struct fleet *f, const char *name)
{
    size_t low = 0, high = f->n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (strcmp(f->members[mid]->name, name) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* From "shop." to before "shop/": '/' is what follows '.'. */
size_t fleet_of(const struct fleet *f, const char *app, size_t *ret_n)
{
    _cleanup_free_ char *first = xasprintf("%s.", app), *behind = xasprintf("%s/", app);
    size_t at = place(f, first);
    *ret_n = place(f, behind) - at;
    return at;
}

struct member *fleet_find(const struct fleet *f, const char *app, const char *type, const char *id)
{
    _cleanup_free_ char *name = instance_name(app, type, id);
    size_t at = place(f, name);
    return at < f->n && streq(f->members[at]->name, name) ? f->members[at] : NULL;
}

struct member *fleet_add(struct fleet *f, const char *app, const char *type, const char *id)
{
    int64_t release, generation, index;
    if (!instance_id_parse(id, &release, &generation, &index))
        return NULL;
    struct member *m = xcalloc(1, sizeof(*m));
    *m = (struct member){.fleet = f,
                         .name = instance_name(app, type, id),
                         .app = xstrdup(app),
                         .type = xstrdup(type),
                         .id = xstrdup(id),
                         .release = release,
                         .generation = generation,
                         .index = index,
                         .watch = -1,
                         .state_seen = -1,
                         .status.exit = -1,
                         .made = time_mono_ms()};
    m->run_dir = path_join(f->config->run, "instances/%s", m->name);
    m->disk = path_join(f->config->state, "instances/%s/%s/%s", app, type, id);
    *array_insert(f->members, f->n, place(f, m->name)) = m;
    return m;
}

/* A shim that was killed leaves its app running; one that ended leaves nothing. */
static void kill_leftovers(const struct member *m)
{
    const struct config *c = m->fleet->config;
    _cleanup_free_ char *cgroup = instance_cgroup(c, m->name);
    _cleanup_free_ char *crun = path_join(c->run, "crun/%s", m->name);
    struct err err;
    if (!cgroup_exists(cgroup))
        return;
    if (cgroup_kill(cgroup, KILL_MS, &err) < 0 || cgroup_remove(cgroup, &err) < 0 ||
        dir_remove(crun, &err) < 0)
        log_warning("%s: removing what a killed supervisor left: %s", m->name, err.msg);
}

void fleet_remove(struct fleet *f, struct member *m)
{
    struct err err;
    kill_leftovers(m);
    size_t at = place(f, m->name);
    memmove(&f->members[at], &f->members[at + 1], (f->n - at - 1) * sizeof(struct member *));
    f->n--;
    disk_set_aside(&f->disk, m->app, m->disk);
    if (dir_remove(m->run_dir, &err) < 0)
        log_warning("%s: %s", m->name, err.msg);
    /* The folders of its type and app go with the last instance in them. */
    for (int up = 0; up < 2; up++) {
        *strrchr(m->disk, '/') = '\0';
        rmdir(m->disk);
    }
    member_free(m);
}

/* ---- adoption ---- */

/* The address and the time of making are in what we wrote when we made it. */
static void recall(struct member *m)
{
    _cleanup_(buf_release) struct buf text = BUF_CAP(SPEC_MAX);
    _cleanup_free_ char *path = path_join(m->run_dir, "spec");
    struct stat st;
    if (stat(path, &st) < 0 || file_read(path, &text, NULL) < 0)
        return;
    int64_t age = time_wall_us() / 1000 - (int64_t)st.st_mtim.tv_sec * 1000;
    m->made = time_mono_ms() - MAX(age, (int64_t)0);
    _cleanup_(pact_spec_release) struct spec spec;
    pact_spec_recall(buf_str(&text), &spec);
    struct str rest = str_of(spec.ip), address = str_cut(&rest, '/');
    _cleanup_free_ char *ip = xstrndup(address.ptr ? address.ptr : "", address.len);
    m->host = network_host(ip);
}

/* "A.TYPE.ID": neither app nor type has a dot in it. */
static void adopt(struct fleet *f, const char *name)
{
    const char *a = strchr(name, '.'), *t = a ? strchr(a + 1, '.') : NULL;
    if (!t || a == name || t == a + 1)
        return;
    _cleanup_free_ char *app = xstrndup(name, (size_t)(a - name));
    _cleanup_free_ char *type = xstrndup(a + 1, (size_t)(t - a - 1));
    struct member *m = fleet_add(f, app, type, t + 1);
    struct err err;
    if (!m)
        return;
    if (watch_status(m, &err) < 0)
        log_warning("%s", err.msg);
    m->keeps_lines = true;
    recall(m);
    adopt_shim(m);
    read_status(m);
}

int fleet_adopt(struct fleet *f, struct err *err)
{
    _cleanup_free_ char *path = path_join(f->config->run, "instances");
    DIR *dir = opendir(path);
    if (!dir)
        return err_errno(err, "reading %s", path);
    struct dirent *e;
    while ((e = readdir(dir)))
        if (e->d_name[0] != '.')
            adopt(f, e->d_name);
    closedir(dir);
    return 0;
}

static bool is_known(void *ctx, const char *app, const char *type, const char *id)
{
    return fleet_find(ctx, app, type, id);
}

bool fleet_has(const struct fleet *f, const char *app)
{
    size_t n;
    fleet_of(f, app, &n);
    return n || disk_is_removing(&f->disk, app);
}

void fleet_sweep(struct fleet *f) { disk_sweep(&f->disk, is_known, f); }

/* ---- life ---- */

static void on_layer_removed(void *ctx)
{
    struct fleet *f = ctx;
    f->changed(f->ctx, NULL);
}

int fleet_new(uv_loop_t *loop, const struct config *c, void (*changed)(void *ctx, const char *app),
              void *ctx, struct fleet **ret, struct err *err)
{
    _cleanup_free_ char *run = path_join(c->run, "instances");
    struct fleet *f =
        xcalloc(1, sizeof(*f)); /* ends with the process, as all that hangs on the loop */
    *f = (struct fleet){.loop = loop,
                        .config = c,
                        .changed = changed,
                        .ctx = ctx,
                        .disk = {.removed = on_layer_removed, .ctx = f}};
    *ret = f;
    int r = dir_make(run, 0711, err);
    if (r < 0 || (r = disk_open(&f->disk, loop, c, err)) < 0)
        return r;
    f->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (f->inotify < 0)
        return err_errno(err, "inotify");
    uv_poll_init(loop, &f->status_poll, f->inotify);
    f->status_poll.data = f;
    uv_poll_start(&f->status_poll, UV_READABLE, on_inotify);
    return 0;
}
