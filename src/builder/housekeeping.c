#include "builder/housekeeping.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/time.h"
#include "builder/record.h"
#include "builder/tree.h"
#include "os/file.h"

enum { UPLOAD_SECONDS = 86400, DESTROYED_SECONDS = 60 };

void chores_release(struct chores *c)
{
    strv_release(&c->images);
    strv_release(&c->apps);
    strv_release(&c->builds);
    strv_release(&c->gone);
    strv_release(&c->destroyed);
    strv_release(&c->dropped);
}

/* --- what to keep ---------------------------------------------------------------------------- */

/* The releases of one app, in order. */
struct history {
    int64_t *numbers;
    int *states;
    const char **images;
    bool *keep;
    size_t n;
};

static void history_release(struct history *h)
{
    free(h->numbers);
    free(h->states);
    free(h->images);
    free(h->keep);
}

static void history_add(struct history *h, const struct release *r, int state)
{
    size_t n = h->n + 1;
    h->numbers = xrealloc(h->numbers, n * sizeof(*h->numbers));
    h->states = xrealloc(h->states, n * sizeof(*h->states));
    h->images = xrealloc(h->images, n * sizeof(*h->images));
    h->keep = xrealloc(h->keep, n * sizeof(*h->keep));
    h->numbers[h->n] = r->number;
    h->states[h->n] = state;
    h->images[h->n] = r->image;
    h->n = n;
}

static void keep_images(struct op *op, const char *app, struct chores *ret)
{
    struct mirror *m = operator_mirror(op);
    _cleanup_(history_release) struct history h = {0};
    _cleanup_free_ char *key = key_desired(app);
    const struct release *r;
    const struct desired *desired = mirror_get(m, key, &desired_schema, NULL);
    for (struct mirror_iter i = mirror_of(m, &release_schema, app); (r = mirror_each(&i));) {
        _cleanup_free_ char *status_key = key_release_status(app, r->number);
        const struct release_status *s = mirror_get(m, status_key, &release_status_schema, NULL);
        history_add(&h, r, s ? s->state : RELEASE_PENDING);
    }
    releases_retained(h.numbers, h.states, h.n, desired ? desired->release : 0,
                      operator_config(op)->retain_releases, h.keep);
    for (size_t i = 0; i < h.n; i++)
        if (h.keep[i])
            strv_add(&ret->images, h.images[i]);
}

static void keep_of_instance(struct op *op, const struct kv *kv, struct chores *ret)
{
    _cleanup_(instance_release) struct instance i = {0};
    if (model_decode(&instance_schema, (struct str){kv->value, kv->value_len}, &i, NULL) < 0)
        return;
    _cleanup_free_ char *key = key_release(i.app, i.release);
    const struct release *r = mirror_get(operator_mirror(op), key, &release_schema, NULL);
    if (r)
        strv_add(&ret->images, r->image);
}

/* Instances that still drain have their root from an image, however old its release is. */
static int keep_running(struct op *op, struct chores *ret, struct err *err)
{
    _cleanup_(kv_list_release) struct kv_list instances = {0};
    _cleanup_free_ char *prefix = key_prefix(&instance_schema, NULL);
    int r = store_list(operator_store(op), prefix, &instances, err);
    for (size_t i = 0; !r && i < instances.n; i++)
        keep_of_instance(op, &instances.items[i], ret);
    return r;
}

static void drop_build(struct op *op, const char *id, struct chores *ret)
{
    strv_add(&ret->gone, id);
    struct txn t = {0};
    _cleanup_free_ char *key = key_build(id), *status = key_build_status(id);
    txn_delete(&t, key);
    txn_delete(&t, status);
    operator_txn(op, &t);
}

/* From the newest to the oldest; `seen` counts those of each app. */
static void keep_builds(struct op *op, struct chores *ret)
{
    struct mirror *m = operator_mirror(op);
    _cleanup_(strv_release) struct strv ids = {0};
    struct counts seen = {0};
    for (struct mirror_iter i = mirror_of(m, &build_schema, NULL); mirror_next(&i);)
        strv_take(&ids, xstrndup(i.parts[0].ptr, i.parts[0].len));
    for (size_t i = ids.n; i-- > 0;) {
        _cleanup_free_ char *key = key_build(ids.items[i]), *skey = key_build_status(ids.items[i]);
        const struct build *b = mirror_get(m, key, &build_schema, NULL);
        const struct build_status *s = mirror_get(m, skey, &build_status_schema, NULL);
        bool open = !build_is_finished(s);
        int64_t n = b ? counts_get(&seen, b->app, 0) : 0;
        bool keep = b && (open || (n < BUILDS_KEPT && strv_has(&ret->apps, b->app)));
        if (keep)
            strv_add(&ret->builds, ids.items[i]);
        else if (b)
            drop_build(op, ids.items[i], ret);
        if (b)
            counts_set(&seen, b->app, n + 1);
    }
    for (size_t i = 0; i < seen.n; i++)
        free(seen.items[i].name);
    free(seen.items);
}

int chores_gather(struct op *op, struct chores *ret, struct err *err)
{
    for (struct mirror_iter i = mirror_of(operator_mirror(op), &app_schema, NULL); mirror_next(&i);)
        strv_take(&ret->apps, xstrndup(i.parts[0].ptr, i.parts[0].len));
    for (size_t i = 0; i < ret->apps.n; i++)
        keep_images(op, ret->apps.items[i], ret);
    keep_builds(op, ret);
    return keep_running(op, ret, err);
}

void chores_add_destroyed(struct chores *c, struct op *op, const char *app)
{
    _cleanup_free_ char *key = key_remains(app, "builder");
    const struct remains *left = mirror_get(operator_mirror(op), key, &remains_schema, NULL);
    strv_add(&c->destroyed, app);
    for (size_t i = 0; left && i < left->images.n; i++)
        strv_add(&c->dropped, left->images.items[i]);
    for (size_t i = 0; left && i < left->builds.n; i++)
        strv_add(&c->gone, left->builds.items[i]);
}

/* --- doing it -------------------------------------------------------------------------------- */

static void complain(const char *doing, const struct err *err)
{
    log_warning("%s: %s", doing, err->msg);
}

static bool recent(const char *path, int64_t seconds)
{
    struct stat st;
    return stat(path, &st) == 0 && st.st_mtime > time_wall_us() / 1000000 - seconds;
}

/* Removes what lies in `dir` under names that are not in `keep`; younger things may just be coming.
 */
static void remove_others(const char *dir, const struct strv *keep, int64_t younger)
{
    struct err err;
    _cleanup_(strv_release) struct strv names = {0};
    if (tree_names(dir, &names, NULL) < 0)
        return;
    for (size_t i = 0; i < names.n; i++) {
        _cleanup_free_ char *path = path_join(dir, "%s", names.items[i]);
        if (!strv_has(keep, names.items[i]) && !recent(path, younger) && dir_remove(path, &err) < 0)
            complain("tidying up", &err);
    }
}

static void remove_gone(const struct config *c, struct chores *chores)
{
    struct err err;
    for (size_t i = 0; i < chores->gone.n; i++) {
        _cleanup_free_ char *dir = job_dir(c, chores->gone.items[i]);
        if (path_is_component(chores->gone.items[i]) && dir_remove(dir, &err) < 0) {
            complain("removing an old build", &err);
            chores->failed = true;
        }
    }
}

/* Layers that an app's builds made lately and perhaps no image names. */
static void add_loose_layers(const struct config *c, const char *app, struct strv *ret)
{
    _cleanup_(record_release) struct record record;
    _cleanup_(buf_release) struct buf source = BUF_CAP(128);
    _cleanup_free_ char *dir = job_cache_dir(c, app), *path = path_join(dir, "record.json"),
                        *last = path_join(dir, "source");
    record_load(path, &record);
    if (record.source)
        strv_add(ret, record.source);
    if (record.compiled)
        strv_add(ret, record.compiled);
    if (file_read(last, &source, NULL) == 0 && source.len)
        strv_add(ret, source.ptr);
}

/* Before its caches, which know the loose ones. */
static void drop_images(const struct config *c, struct image_store *images, struct chores *chores)
{
    struct err err;
    struct image_gc_stats stats;
    for (size_t i = 0; i < chores->destroyed.n; i++)
        add_loose_layers(c, chores->destroyed.items[i], &chores->dropped);
    if (chores->dropped.n && image_drop(images, &chores->dropped, &chores->images,
                                        chores->dropped_grace_s, &stats, &err) < 0) {
        complain("destroying an app", &err);
        chores->failed = true;
    }
}

static void remove_destroyed(const struct config *c, struct image_store *images,
                             struct chores *chores)
{
    struct err err;
    drop_images(c, images, chores);
    for (size_t i = 0; i < chores->destroyed.n; i++) {
        _cleanup_free_ char *dir = job_cache_dir(c, chores->destroyed.items[i]);
        if (dir_remove(dir, &err) < 0) {
            complain("destroying an app", &err);
            chores->failed = true;
        }
    }
}

static int64_t blocks_below(int parent, const char *name)
{
    struct stat st;
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    int64_t sum = st.st_blocks;
    if (!S_ISDIR(st.st_mode))
        return sum;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    for (struct dirent *e; d && (e = readdir(d));)
        if (!streq(e->d_name, ".") && !streq(e->d_name, ".."))
            sum += blocks_below(dirfd(d), e->d_name);
    if (d)
        closedir(d);
    else
        closep(&fd);
    return sum;
}

struct cache {
    char *dir;
    int64_t blocks, used; /* when it was last used */
};

static int oldest_first(const void *a, const void *b)
{
    const struct cache *x = a, *y = b;
    return x->used < y->used ? -1 : x->used > y->used;
}

/* The caches that were not used for the longest time go, until the others fit. What is left of them
 * is the record of the last build: it needs no cache. */
static void limit_caches(const struct config *c, const struct strv *apps)
{
    struct err err;
    int64_t sum = 0, max = c->build_cache << 11; /* MiB in blocks of 512 bytes */
    struct cache *caches = xcalloc(MAX(apps->n, (size_t)1), sizeof(*caches));
    for (size_t i = 0; i < apps->n; i++) {
        struct stat st = {0};
        caches[i].dir = job_cache_dir(c, apps->items[i]);
        caches[i].blocks = blocks_below(AT_FDCWD, caches[i].dir);
        if (stat(caches[i].dir, &st) == 0)
            caches[i].used = st.st_mtime;
        sum += caches[i].blocks;
    }
    qsort(caches, apps->n, sizeof(*caches), oldest_first);
    for (size_t i = 0; i < apps->n; i++) {
        if (sum > max && caches[i].blocks > 1024 && !recent(caches[i].dir, c->build_timeout)) {
            _cleanup_free_ char *packs = path_join(caches[i].dir, "cache"),
                                *buildah = path_join(caches[i].dir, "buildah");
            if (dir_remove(packs, &err) < 0 || dir_remove(buildah, &err) < 0)
                complain("limiting the build caches", &err);
            sum -= caches[i].blocks;
        }
        free(caches[i].dir);
    }
    free(caches);
}

/* Debian's lists are kept for each suite; a former version had one folder for all. */
static void remove_former(const struct config *c)
{
    struct err err;
    _cleanup_free_ char *lists = path_join(c->cache, "build/apt/lists");
    if (dir_remove(lists, &err) < 0)
        complain("removing what a former version left", &err);
}

void chores_do(const struct config *c, struct image_store *images, struct chores *chores)
{
    struct err err;
    struct image_gc_stats stats;
    _cleanup_free_ char *builds = path_join(c->state, "builds");
    _cleanup_free_ char *apps = path_join(c->cache, "build/apps");
    remove_gone(c, chores);
    remove_destroyed(c, images, chores);
    remove_others(builds, &chores->builds, UPLOAD_SECONDS);
    remove_others(apps, &chores->apps, DESTROYED_SECONDS);
    limit_caches(c, &chores->apps);
    remove_former(c);
    if (image_gc(images, &chores->images, chores->grace_s, &stats, &err) < 0)
        complain("collecting images", &err);
    else if (stats.layers || stats.images)
        log_info("collected %llu images and %llu layers, %llu MiB",
                 (unsigned long long)stats.images, (unsigned long long)stats.layers,
                 (unsigned long long)(stats.bytes >> 20));
}
