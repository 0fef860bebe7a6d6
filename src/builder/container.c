#include "builder/container.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/log.h"
#include "builder/limits.h"
#include "builder/tree.h"
#include "os/cgroup.h"
#include "os/file.h"
#include "os/namespace.h"

/* Beside the instances' groups, so that weights compare; no instance's name begins like this. */
#define CGROUP_STEM "_build."

enum { PIDS_MAX = 4096, KILL_MS = 5000, SECCOMP_MAX = 1 << 20 };

struct run {
    const struct container *c;
    char *bundle, *rootfs, *state, *userns, *work, *cgroup;
    struct strv dirs;
    struct buf seccomp; /* the profile */
    int lock;           /* on the bundle, as long as the container is in use */
};

/* --- its OCI configuration ------------------------------------------------------------------- */

/* Of the capabilities of root in a container, those that count for each kind of user. */
static const unsigned grants[] = {[CONTAINER_APP] = 0,
                                  [CONTAINER_ROOT] = GRANT_ROOT | GRANT_INSTALL,
                                  [CONTAINER_BUILDER] = GRANT_ROOT | GRANT_INSTALL |
                                                        GRANT_LOW_PORTS | GRANT_CONTAINERS};

static uid_t user_of(const struct container *c) { return c->user == CONTAINER_APP ? APP_UID : 0; }

static char *cgroup_of(const struct container *c)
{
    return xasprintf("%s/" CGROUP_STEM "%s", c->config->bridge, c->name);
}

/* The root of one who may mount is nobody's to write; what it needs for the time goes with it. */
static size_t gather_mounts(const struct run *run, struct bundle_mount **ret)
{
    const struct container *c = run->c;
    const struct bundle_mount scratch[] = {{NULL, "/tmp", true},
                                           {NULL, "/run", true},
                                           {NULL, "/var/cache", true},
                                           {run->work, "/var/tmp", true}}; /* on disk */
    size_t n = c->user == CONTAINER_BUILDER ? ARRAY_LEN(scratch) : 0;
    *ret = xcalloc(n + c->n_binds + 1, sizeof(**ret));
    memcpy(*ret, scratch, n * sizeof(**ret));
    memcpy(*ret + n, c->binds, c->n_binds * sizeof(**ret));
    return n + c->n_binds;
}

static int write_config(const struct run *run, struct err *err)
{
    const struct container *c = run->c;
    _cleanup_(buf_release) struct buf b = BUF_INIT;
    _cleanup_free_ struct bundle_mount *mounts = NULL;
    _cleanup_free_ char *path = path_join(run->bundle, "config.json");
    size_t n = gather_mounts(run, &mounts);
    struct bundle_config config = {
        .root = "rootfs",
        .hostname = "build",
        .cwd = c->user == CONTAINER_APP ? "/app" : "/",
        .userns = run->userns,
        .uid_base = c->config->uid_base,
        .uid = user_of(c),
        .gid = user_of(c),
        .argv = c->argv,
        .env = c->env,
        .mounts = mounts,
        .n_mounts = n,
        /* What grows beyond what a layer may have fails while it grows. */
        .file_max = c->user == CONTAINER_ROOT ? 0 : (int64_t)file_limit(c->config),
        .oom_score_adj = 500,
        .grants = grants[c->user],
        .profile = buf_str(&run->seccomp)};
    int r = bundle_config_format(&config, &b, err);
    return r < 0 ? r : file_replace(path, buf_str(&b), 0600, err);
}

/* --- running it ------------------------------------------------------------------------------ */

static void run_release(struct run *r)
{
    if (r->bundle)
        dir_remove(r->bundle, NULL);
    if (r->work)
        dir_remove(r->work, NULL);
    strv_release(&r->dirs);
    buf_release(&r->seccomp);
    free(r->work);
    free(r->cgroup);
    free(r->bundle);
    free(r->rootfs);
    free(r->state);
    free(r->userns);
    closep(&r->lock);
}

/* The user namespace belongs to a host uid that no instance's has: number 0 of those, since no
 * instance has the address 0. What builds use up of inotify and the like is not root's. */
static int mount_user_namespace(const struct run *run, struct err *err)
{
    uid_t base = (uid_t)run->c->config->uid_base;
    return namespace_user(base + BUNDLE_IDS, base, run->userns, err);
}

/* In the cage: the stage's scripts made executable, the user namespace, the root, and a place for
 * crun's own notes that goes away with it. */
static int prepare(void *ctx, struct err *err)
{
    struct run *run = ctx;
    _cleanup_free_ char *stages = path_join(run->c->config->run, "build");
    int r = mount_executable(stages, err);
    if (r < 0 || (r = mount_user_namespace(run, err)) < 0)
        return r;
    if (mount("tmpfs", run->state, "tmpfs", MS_NOSUID | MS_NODEV, "mode=700,size=4m") < 0)
        return err_errno(err, "mounting %s", run->state);
    bool fixed = run->c->user == CONTAINER_BUILDER;
    return mount_overlay(&run->dirs, fixed ? NULL : run->c->upper, fixed ? NULL : run->work,
                         run->rootfs, err);
}

static int make_bind(const struct container *c, const struct bundle_mount *b, struct err *err)
{
    if (!b->writable || path_exists(b->source))
        return 0;
    uid_t owner = (uid_t)c->config->uid_base + user_of(c);
    int r = dir_make(b->source, 0755, err);
    if (!r && chown(b->source, owner, owner) < 0)
        r = err_errno(err, "handing %s to the build", b->source);
    return r;
}

static int make_point(const struct run *run, const struct bundle_mount *b, struct err *err)
{
    struct stat st;
    _cleanup_free_ char *path = path_join(run->c->upper, "%s", b->target + 1);
    if (stat(b->source, &st) < 0)
        return err_errno(err, "%s", b->source);
    if (S_ISDIR(st.st_mode))
        return dir_make(path, 0755, err);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    int r = dir_make(path, 0755, err);
    *slash = '/';
    return r ? r : file_replace(path, (struct str){0}, 0644, err);
}

/* A root that is nobody's to write has the points of its mounts in its topmost layer. */
static int make_points(struct run *run, struct err *err)
{
    const struct container *c = run->c;
    int r = 0;
    for (size_t i = 0; !r && i < c->n_binds; i++)
        r = make_point(run, &c->binds[i], err);
    strv_add(&run->dirs, c->upper);
    return r;
}

/* Whether somebody who lives uses the bundle; if not, *ret_lock keeps others off. */
static int lock_bundle(const char *bundle, int *ret_lock, struct err *err)
{
    _cleanup_close_ int fd = open(bundle, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
        return err_errno(err, "locking %s", bundle);
    *ret_lock = TAKE_FD(fd);
    return 0;
}

static int make_bundle(struct run *run, struct err *err)
{
    const struct container *c = run->c;
    run->seccomp = BUF_CAP(SECCOMP_MAX);
    run->bundle = path_join(c->config->run, "build/%s", c->name);
    run->rootfs = path_join(run->bundle, "rootfs");
    run->state = path_join(run->bundle, "state");
    run->userns = path_join(run->bundle, "userns");
    run->cgroup = cgroup_of(c);
    for (size_t i = 0; i < c->layers->n; i++)
        strv_take(&run->dirs, image_layer_path(c->images, c->layers->items[i]));
    int r = image_tmp_dir(c->images, &run->work, err);
    if (!r)
        r = dir_make(run->rootfs, 0755, err);
    if (!r)
        r = lock_bundle(run->bundle, &run->lock, err);
    if (!r)
        r = dir_make(run->state, 0700, err);
    if (!r)
        r = file_replace(run->userns, (struct str){0}, 0600, err); /* to mount on */
    for (size_t i = 0; !r && i < c->n_binds; i++)
        r = make_bind(c, &c->binds[i], err);
    if (!r && c->user == CONTAINER_BUILDER)
        r = make_points(run, err);
    if (!r)
        r = bundle_profile(c->config, grants[c->user], &run->seccomp, err);
    return r ? r : write_config(run, err);
}

/* MiB. The setting, but never all of a small machine's memory: the apps need theirs. */
static int64_t memory_limit(const struct config *c)
{
    int64_t machine = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE) >> 20;
    return MIN(c->build_memory, machine / 4 * 3);
}

static int make_group(const struct run *run, struct err *err)
{
    const struct config *c = run->c->config;
    return cgroup_make(run->cgroup,
                       &(struct cgroup_limits){.memory = memory_limit(c) << 20,
                                               .pids = PIDS_MAX,
                                               .cpu_weight = c->build_cpu_weight},
                       err);
}

static int run_in_cage(struct run *run, struct output *out, int *ret_status, struct err *err)
{
    const struct container *c = run->c;
    const char *const argv[] = {"crun",  "--root",   run->state,  "--cgroup-manager=disabled",
                                "run",   "--bundle", run->bundle, "--",
                                c->name, NULL};
    return cage_run(&(struct cage){.argv = argv,
                                   .cgroup = run->cgroup,
                                   .out_owner = (uid_t)c->config->uid_base + user_of(c),
                                   .prepare = prepare,
                                   .ctx = run,
                                   .timeout_s = c->timeout_s,
                                   .cancel = c->cancel},
                    out, ret_status, err);
}

int container_run(const struct container *c, struct output *out, int *ret_status, struct err *err)
{
    _cleanup_(run_release) struct run run = {.c = c, .lock = -1};
    int r = make_bundle(&run, err);
    if (!r)
        r = make_group(&run, err);
    if (!r)
        r = run_in_cage(&run, out, ret_status, err);
    if (run.cgroup && cgroup_oom_kills(run.cgroup) > 0)
        output_warning(out,
                       "A process was killed: a build may use %lld MiB of memory "
                       "(setting build_memory)",
                       (long long)memory_limit(c->config));
    if (!r && *ret_status == 128 + SIGXFSZ)
        output_warning(out,
                       "A process was killed: no file of a build may have more than %llu MiB "
                       "(8 times the setting unpack_max)",
                       (unsigned long long)file_limit(c->config) >> 20);
    if (cgroup_kill(run.cgroup, KILL_MS, NULL) == 0)
        cgroup_remove(run.cgroup, NULL);
    return r;
}

static void remove_group(const char *group)
{
    struct err err;
    if (cgroup_kill(group, KILL_MS, &err) < 0 || cgroup_remove(group, &err) < 0)
        log_warning("removing what is left of a build: %s", err.msg);
}

/* Those of another process that is still at it are left alone. */
static void clean_bundle(const char *bundles, const char *name)
{
    struct err err;
    _cleanup_close_ int lock = -1;
    _cleanup_free_ char *bundle = path_join(bundles, "%s", name);
    if (lock_bundle(bundle, &lock, &err) < 0 && err.code != ERR_NOT_FOUND)
        return;
    if (dir_remove(bundle, &err) < 0)
        log_warning("removing what is left of a build: %s", err.msg);
}

void container_clean(const struct config *c)
{
    _cleanup_free_ char *bundles = path_join(c->run, "build");
    _cleanup_(strv_release) struct strv groups = {0}, names = {0};
    if (tree_names(bundles, &names, NULL) == 0)
        for (size_t i = 0; i < names.n; i++)
            clean_bundle(bundles, names.items[i]);
    cgroup_children(c->bridge, &groups);
    for (size_t i = 0; i < groups.n; i++) {
        const char *name = groups.items[i] + strlen(CGROUP_STEM);
        if (!str_starts(str_of(groups.items[i]), STR(CGROUP_STEM)))
            continue;
        _cleanup_free_ char *group = path_join(c->bridge, "%s", groups.items[i]);
        _cleanup_free_ char *bundle = path_join(bundles, "%s", name);
        if (!path_exists(bundle))
            remove_group(group);
    }
}

/* --- the way out ----------------------------------------------------------------------------- */

void container_network_env(struct map *ret)
{
    static const char *const proxies[] = {
        "http_proxy", "https_proxy", "no_proxy",  "HTTP_PROXY", "HTTPS_PROXY",  "NO_PROXY",
        "GOPROXY",    "GOSUMDB",     "GONOSUMDB", "GOFLAGS",    "PIP_INDEX_URL"};
    static const char *const certificates[] = {"SSL_CERT_FILE",      "NODE_EXTRA_CA_CERTS",
                                               "PIP_CERT",           "CURL_CA_BUNDLE",
                                               "REQUESTS_CA_BUNDLE", "GIT_SSL_CAINFO"};
    for (size_t i = 0; i < ARRAY_LEN(proxies); i++)
        if (getenv(proxies[i]))
            map_set(ret, proxies[i], getenv(proxies[i]));
    for (size_t i = 0; i < ARRAY_LEN(certificates); i++)
        map_set(ret, certificates[i], "/etc/ssl/certs/ca-certificates.crt");
}
