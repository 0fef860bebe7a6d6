#include "run/act.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/log.h"
#include "bundle/config.h"
#include "init/init.h"
#include "log/file.h"
#include "log/line.h"
#include "log/tail.h"
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
    *a = (struct actor){.config = c,
                        .shared = path_join(c->run, "shared"),
                        .rootfs = path_join(c->run, "rootfs"),
                        .sysfs = path_join(c->run, "sysfs"),
                        .userns = path_join(c->run, "userns"),
                        .resolv = {.file = path_join(c->run, "shared/etc/resolv.conf"),
                                   .owner = (uid_t)c->uid_base}};
    int r = bundle_profile(c, 0, &profile, err);
    if (r < 0 || (r = write_shared(a, err)) < 0 || (r = network_ensure(c, &a->network, err)) < 0 ||
        (r = image_store_open(c->images, (uid_t)c->uid_base, &a->images, err)) < 0)
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
    _cleanup_free_ char *tail = path_join(m->run_dir, "tail");
    if ((e = member_prepare(m, err)) < 0 || (e = write_folders(&l, err)) < 0 ||
        (keep_lines && (e = tail_want(tail, err)) < 0))
        return e;
    m->keeps_lines = keep_lines;
    return member_launch(m, err);
}

/* ---- the log ---- */

void act_log(const struct actor *a, const struct member *m, const char *text)
{
    const struct config *c = a->config;
    struct err err;
    struct log_file file;
    _cleanup_(buf_release) struct buf line = BUF_CAP(16384);
    _cleanup_free_ char *process = xasprintf("%s.%lld", m->type, (long long)m->index);
    _cleanup_free_ char *path = path_join(c->log, "%s/%s.log", m->app, process);
    log_line_format("davit", process, str_of(text), &line);
    log_file_init(&file, path, true, c->log_file_max << 20, c->log_files);
    if (log_file_write(&file, line.ptr, line.len, &err) < 0)
        log_warning("the log of %s: %s", m->name, err.msg);
    log_file_release(&file);
}

void act_forget_lines(struct member *m)
{
    if (!m->keeps_lines)
        return;
    m->keeps_lines = false;
    _cleanup_free_ char *tail = path_join(m->run_dir, "tail");
    tail_forget(tail);
}

void act_last_lines(const struct member *m, struct strv *ret)
{
    _cleanup_(strv_release) struct strv all = {0}, said = {0};
    _cleanup_free_ char *tail = path_join(m->run_dir, "tail");
    tail_read(tail, &all);
    for (size_t i = 0; i < all.n; i++) {
        struct log_line l;
        if (log_line_parse(str_of(all.items[i]), &l) &&
            !str_starts(l.message, STR("State changed from "))) /* says nothing about the app */
            strv_add(&said, l.text.ptr + l.when.len + 1);
    }
    for (size_t i = said.n > ACT_LOG_LINES ? said.n - ACT_LOG_LINES : 0; i < said.n; i++)
        strv_add(ret, said.items[i]);
}
