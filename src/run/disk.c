#include "run/disk.h"

#include <dirent.h>
#include <errno.h>

#include "base/log.h"
#include "os/file.h"

struct removal {
    uv_work_t work;
    struct disk *disk;
    char *app; /* "": not known */
    char *path;
    struct removal *next, **link; /* in disk->removals */
};

static void remove_in_worker(uv_work_t *work)
{
    struct removal *r = work->data;
    struct err err;
    if (dir_remove(r->path, &err) < 0)
        log_warning("%s", err.msg);
}

static void on_removed(uv_work_t *work, int status)
{
    (void)status;
    struct removal *r = work->data;
    struct disk *d = r->disk;
    if ((*r->link = r->next))
        r->next->link = r->link;
    free(r->app);
    free(r->path);
    free(r);
    d->removed(d->ctx);
}

/* name: "A.RANDOM"; former versions had no "A." */
static void remove_later(struct disk *d, const char *name)
{
    struct removal *r = xcalloc(1, sizeof(*r));
    const char *dot = strchr(name, '.');
    r->disk = d;
    r->app = xstrndup(name, dot ? (size_t)(dot - name) : 0);
    r->path = path_join(d->gone, "%s", name);
    r->link = &d->removals;
    if ((r->next = d->removals))
        r->next->link = &r->next;
    d->removals = r;
    r->work.data = r;
    uv_queue_work(d->loop, &r->work, remove_in_worker, on_removed);
}

bool disk_is_removing(const struct disk *d, const char *app)
{
    for (const struct removal *r = d->removals; r; r = r->next)
        if (!*r->app || streq(r->app, app))
            return true;
    return false;
}

void disk_set_aside(struct disk *d, const char *app, const char *folder)
{
    unsigned char id[8];
    char hex[2 * sizeof(id) + 1];
    random_bytes(id, sizeof(id));
    hex_encode(id, sizeof(id), hex);
    _cleanup_free_ char *name = xasprintf("%s.%s", app, hex);
    _cleanup_free_ char *path = path_join(d->gone, "%s", name);
    if (rename(folder, path) == 0)
        remove_later(d, name);
    else if (errno != ENOENT)
        log_warning("setting %s aside: %s", folder, strerror(errno));
}

/* The names in a folder but those that start with a dot. */
static void names_in(const char *folder, struct strv *ret)
{
    DIR *dir = opendir(folder);
    struct dirent *e;
    while (dir && (e = readdir(dir)))
        if (e->d_name[0] != '.')
            strv_add(ret, e->d_name);
    if (dir)
        closedir(dir);
}

int disk_open(struct disk *d, uv_loop_t *loop, const struct config *c, struct err *err)
{
    _cleanup_(strv_release) struct strv left = {0};
    d->loop = loop;
    d->instances = path_join(c->state, "instances");
    d->gone = path_join(c->state, "instances/.gone");
    int r = dir_make(d->gone, 0700, err);
    if (r < 0)
        return r;
    names_in(d->gone, &left);
    for (size_t i = 0; i < left.n; i++)
        remove_later(d, left.items[i]);
    return 0;
}

void disk_sweep(struct disk *d,
                bool (*known)(void *ctx, const char *app, const char *type, const char *id),
                void *ctx)
{
    _cleanup_(strv_release) struct strv apps = {0};
    names_in(d->instances, &apps);
    for (size_t a = 0; a < apps.n; a++) {
        _cleanup_(strv_release) struct strv types = {0};
        _cleanup_free_ char *app = path_join(d->instances, "%s", apps.items[a]);
        names_in(app, &types);
        for (size_t t = 0; t < types.n; t++) {
            _cleanup_(strv_release) struct strv ids = {0};
            _cleanup_free_ char *type = path_join(app, "%s", types.items[t]);
            names_in(type, &ids);
            for (size_t i = 0; i < ids.n; i++) {
                _cleanup_free_ char *layer = path_join(type, "%s", ids.items[i]);
                if (!known(ctx, apps.items[a], types.items[t], ids.items[i]))
                    disk_set_aside(d, apps.items[a], layer);
            }
            rmdir(type); /* if nothing is left in it */
        }
        rmdir(app);
    }
}
