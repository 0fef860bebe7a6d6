#include "run/act.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/time.h"
#include "init/init.h"
#include "os/file.h"
#include "run/spec.h"

enum { SECCOMP_MAX = 1 << 20, INIT_MAX = 1 << 20, CONFIG_JSON_MAX = 4 << 20 };

/* ---- what every start needs ---- */

static int own_dir(const struct config *c, const char *path, mode_t mode, struct err *err)
{
    uid_t owner = (uid_t)c->uid_base;
    if ((mkdir(path, mode) < 0 && errno != EEXIST) || chmod(path, mode) < 0 ||
        chown(path, owner, owner) < 0)
        return err_errno(err, "creating %s", path);
    return 0;
}

static int own_file(const struct config *c, const char *path, struct str text, mode_t mode,
                    struct err *err)
{
    uid_t owner = (uid_t)c->uid_base;
    int r = file_replace(path, text, mode, err);
    if (!r && chown(path, owner, owner) < 0)
        r = err_errno(err, "%s", path);
    return r;
}

static int write_init(const struct actor *a, struct err *err)
{
    _cleanup_(buf_release) struct buf program = BUF_CAP(INIT_MAX);
    _cleanup_free_ char *from = path_join(a->config->libexec, "davit-init");
    _cleanup_free_ char *to = path_join(a->shared, "%s", &INIT_PATH[1]);
    int r = file_read(from, &program, err);
    return r ? r : own_file(a->config, to, buf_str(&program), 0755, err);
}

static int write_shared(struct actor *a, struct err *err)
{
    _cleanup_free_ char *etc = path_join(a->shared, "etc");
    _cleanup_free_ char *tmp = path_join(a->shared, "tmp");
    int r = own_dir(a->config, a->shared, 0755, err);
    if (r < 0 || (r = own_dir(a->config, etc, 0755, err)) < 0 ||
        (r = own_dir(a->config, tmp, 01777, err)) < 0 || (r = write_init(a, err)) < 0)
        return r;
    return resolv_refresh(&a->resolv, err);
}

int actor_init(struct actor *a, const struct config *c, struct err *err)
{
    _cleanup_(buf_release) struct buf profile = BUF_CAP(SECCOMP_MAX);
    _cleanup_free_ char *path = path_join(c->data, "seccomp.json");
    _cleanup_free_ char *images = path_join(c->state, "images");
    *a = (struct actor){.config = c,
                        .shared = path_join(c->run, "shared"),
                        .rootfs = path_join(c->run, "rootfs"),
                        .sysfs = path_join(c->run, "sysfs"),
                        .userns = path_join(c->run, "userns"),
                        .resolv = {.file = path_join(c->run, "shared/etc/resolv.conf"),
                                   .owner = (uid_t)c->uid_base}};
    int r = file_read(path, &profile, err);
    if (r < 0 || (r = write_shared(a, err)) < 0 || (r = network_ensure(c, &a->network, err)) < 0 ||
        (r = image_store_open(images, (uid_t)c->uid_base, &a->images, err)) < 0)
        return r;
    a->seccomp = buf_take(&profile);
    return 0;
}

/* ---- starting ---- */

/* The topmost layer: what the platform itself puts into this one root. */
static int write_files(const struct launch *l, struct err *err)
{
    _cleanup_free_ char *top = path_join(l->run_dir, "files");
    _cleanup_free_ char *etc = path_join(top, "etc");
    _cleanup_free_ char *hosts = path_join(etc, "hosts");
    _cleanup_(buf_release) struct buf lines = BUF_CAP(4096);
    launch_hosts(l, &lines);
    int r = own_dir(l->config, top, 0755, err);
    if (r < 0 || (r = own_dir(l->config, etc, 0755, err)) < 0)
        return r;
    return own_file(l->config, hosts, buf_str(&lines), 0644, err);
}

static int write_private(const char *dir, const char *name, const struct buf *text, struct err *err)
{
    _cleanup_free_ char *path = path_join(dir, "%s", name);
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(err, "creating %s", path);
    return fd_write_all(fd, text->ptr, text->len, err) < 0 ? err_wrap(err, "%s", path) : 0;
}

static int write_folders(const struct launch *l, struct err *err)
{
    _cleanup_(buf_release) struct buf config = BUF_CAP(CONFIG_JSON_MAX);
    _cleanup_(buf_release) struct buf spec = BUF_CAP(1 << 20);
    _cleanup_free_ char *upper = path_join(l->disk, "upper");
    _cleanup_free_ char *work = path_join(l->disk, "work");
    _cleanup_free_ char *logs = path_join(l->config->log, "%s", l->app);
    int r = launch_config(l, &config, err);
    if (r < 0 || (r = launch_spec(l, &spec, err)) < 0 ||
        (r = own_dir(l->config, upper, 0755, err)) < 0 ||
        (r = own_dir(l->config, work, 0700, err)) < 0 || (r = dir_make(logs, 0775, err)) < 0 ||
        (r = write_files(l, err)) < 0 ||
        (r = write_private(l->run_dir, "config.json", &config, err)) < 0)
        return r;
    return write_private(l->run_dir, "spec", &spec, err);
}

static void layer_folders(const struct actor *a, const struct image *image, const char *run_dir,
                          struct strv *ret)
{
    for (size_t i = 0; i < image->diff_ids.n; i++)
        strv_take(ret, image_layer_path(a->images, image->diff_ids.items[i]));
    strv_add(ret, a->shared);
    strv_take(ret, path_join(run_dir, "files"));
}

int act_start(struct actor *a, struct member *m, const struct release *r, const struct map *vars,
              bool keep_lines, struct err *err)
{
    _cleanup_(image_release) struct image image = {0};
    _cleanup_(strv_release) struct strv layers = {0};
    const struct process *process = release_process(r, m->type);
    if (!process)
        return err_set(err, ERR_NOT_FOUND, "release v%lld has no process type %s",
                       (long long)r->number, m->type);
    if (!m->host)
        return err_set(err, ERR_UNAVAILABLE, "all addresses of the network are taken");
    if (resolv_refresh(&a->resolv, err) < 0)
        log_warning("the resolvers of instances: %s", err->msg);
    int e = image_get(a->images, r->image, &image, err);
    if (e < 0)
        return e;
    layer_folders(a, &image, m->run_dir, &layers);
    struct launch l = {.config = a->config,
                       .network = &a->network,
                       .seccomp = a->seccomp,
                       .image = &image,
                       .layers = &layers,
                       .release = r,
                       .process = process,
                       .vars = vars,
                       .app = m->app,
                       .id = m->id,
                       .index = m->index,
                       .host = m->host,
                       .run_dir = m->run_dir,
                       .rootfs = a->rootfs,
                       .sysfs = a->sysfs,
                       .userns = a->userns,
                       .disk = m->disk};
    static const struct buf nothing;
    if ((e = member_prepare(m, err)) < 0 || (e = write_folders(&l, err)) < 0 ||
        (keep_lines && (e = write_private(m->run_dir, "tail", &nothing, err)) < 0))
        return e;
    return member_launch(m, err);
}

/* ---- the log ---- */

void act_log(const struct member *m, const char *text)
{
    char when[TIME_TEXT_LEN + 1];
    _cleanup_(buf_release) struct buf line = BUF_CAP(16384);
    time_log_text(time_wall_us(), when);
    buf_addf(&line, "%s davit[%s.%lld]: %s\n", when, m->type, (long long)m->index, text);
    _cleanup_close_ int fd = member_log(m);
    if (fd < 0 || write(fd, line.ptr, line.len) < 0)
        log_warning("the log of %s: %s", m->name, strerror(errno));
}

/* Where the shim keeps them (shim/tail.h), older first. */
static void tails_of(const struct member *m, struct strv *ret)
{
    strv_take(ret, path_join(m->run_dir, "tail.1"));
    strv_take(ret, path_join(m->run_dir, "tail"));
}

void act_forget_lines(const struct member *m)
{
    _cleanup_(strv_release) struct strv tails = {0};
    tails_of(m, &tails);
    for (size_t i = 0; i < 3; i++) /* see shim/tail.h */
        unlink(tails.items[(i + 1) % 2]);
}

/* 2026-09-16T15:13:46.677020+00:00 app[web.1]: text */
static void add_lines(struct str text, struct strv *ret)
{
    static const char state_line[] = "]: State changed from "; /* says nothing about the app */
    while (text.len) {
        struct str words = str_cut(&text, '\n');
        str_cut(&words, ' ');
        if (words.ptr && !memmem(words.ptr, words.len, state_line, sizeof(state_line) - 1))
            strv_addf(ret, "%.*s", (int)words.len, words.ptr);
    }
}

void act_last_lines(const struct member *m, struct strv *ret)
{
    _cleanup_(strv_release) struct strv tails = {0}, all = {0};
    tails_of(m, &tails);
    for (size_t i = 0; i < tails.n; i++) {
        _cleanup_(buf_release) struct buf text = BUF_CAP(ACT_LOG_TAIL);
        if (file_read(tails.items[i], &text, NULL) == 0)
            add_lines(buf_str(&text), &all);
    }
    for (size_t i = all.n > ACT_LOG_LINES ? all.n - ACT_LOG_LINES : 0; i < all.n; i++)
        strv_add(ret, all.items[i]);
}
