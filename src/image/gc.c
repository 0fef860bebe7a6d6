/* Collection by reachability. What goes is renamed into tmp/ under the store's lock, so that nobody
 * can start to rely on it meanwhile, and removed afterwards. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "image/internal.h"
#include "os/file.h"

struct sweep {
    struct image_store *s;
    struct strv live;  /* hex digests of blobs and layers, sorted before the sweep */
    struct strv only;  /* nothing but these may go, */
    bool all;          /* or everything */
    struct strv trash; /* what was renamed, relative to the store */
    time_t newest;     /* of what may go */
    struct image_gc_stats stats;
};

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool has(const struct strv *sorted, const char *hex)
{
    return sorted->n &&
           bsearch(&hex, sorted->items, sorted->n, sizeof(*sorted->items), by_text) != NULL;
}

static bool stays(const struct sweep *w, const char *hex)
{
    return has(&w->live, hex) || !(w->all || has(&w->only, hex));
}

static bool is_hex(const char *name)
{
    return strlen(name) == DIGEST_HEX_LEN && strspn(name, "0123456789abcdef") == DIGEST_HEX_LEN;
}

/* Adds the image's digest and those of what it consists of. */
static int mark_image(struct sweep *w, const char *digest, struct strv *ret, struct err *err)
{
    _cleanup_(json_decrefp) json_t *manifest = NULL;
    int r = manifest_read(w->s, digest, &manifest, err);
    if (r == -ERR_NOT_FOUND)
        return 0; /* a root that leads nowhere holds nothing */
    if (r < 0)
        return r;
    const char *config =
        json_string_value(json_object_get(json_object_get(manifest, "config"), "digest"));
    strv_add(ret, digest_hex(digest));
    if (digest_valid(config))
        strv_add(ret, digest_hex(config));
    size_t i;
    json_t *layer;
    json_array_foreach(json_object_get(manifest, "layers"), i, layer)
    {
        const char *id = json_string_value(json_object_get(layer, "digest"));
        if (digest_valid(id))
            strv_add(ret, digest_hex(id));
    }
    return 0;
}

static int mark(struct sweep *w, const struct strv *keep, struct err *err)
{
    _cleanup_(strv_release) struct strv refs = {0};
    char digest[DIGEST_LEN + 1];
    int r = store_names(w->s->refs, &refs, err);
    for (size_t i = 0; !r && i < refs.n; i++) {
        r = manifest_resolve(w->s, refs.items[i], digest, err);
        if (!r)
            r = mark_image(w, digest, &w->live, err);
    }
    for (size_t i = 0; !r && keep && i < keep->n; i++) {
        r = digest_check(keep->items[i], "an image to keep", err);
        if (!r)
            r = mark_image(w, keep->items[i], &w->live, err);
    }
    strv_sort(&w->live);
    return r;
}

/* Moves it out of the way; it no longer exists for anybody. */
static int discard(struct sweep *w, const char *path, struct err *err)
{
    _cleanup_free_ char *to = store_tmp_name();
    if (renameat(w->s->root, path, w->s->root, to) < 0)
        return errno == ENOENT ? 0 : err_errno(err, "removing %s/%s", w->s->dir, path);
    strv_take(&w->trash, TAKE_PTR(to));
    return 0;
}

/* Blobs are manifests and configurations; a manifest is an image. */
static bool is_image(struct sweep *w, const char *path)
{
    _cleanup_free_ char *whole = xasprintf("%s/%s", w->s->dir, path);
    _cleanup_(buf_release) struct buf text = BUF_CAP(CONFIG_MAX);
    if (file_read(whole, &text, NULL) < 0)
        return false;
    _cleanup_(json_decrefp) json_t *o = json_loadb(text.ptr ? text.ptr : "", text.len, 0, NULL);
    return json_is_array(json_object_get(o, "layers"));
}

static int sweep_blobs(struct sweep *w, struct err *err)
{
    _cleanup_(strv_release) struct strv names = {0};
    int r = store_names(w->s->blobs, &names, err);
    for (size_t i = 0; !r && i < names.n; i++) {
        struct stat st;
        const char *hex = names.items[i];
        if (!is_hex(hex) || stays(w, hex) ||
            fstatat(w->s->blobs, hex, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_mtime > w->newest)
            continue;
        _cleanup_free_ char *path = xasprintf("blobs/sha256/%s", hex);
        w->stats.images += is_image(w, path);
        r = discard(w, path, err);
    }
    return r;
}

/* "HEX", "HEX.tar" or "HEX.recipe": the folder first, then what described it. */
static int sweep_layer(struct sweep *w, const char *name, struct err *err)
{
    char hex[DIGEST_HEX_LEN + 1] = "";
    if (strlen(name) >= DIGEST_HEX_LEN)
        memcpy(hex, name, DIGEST_HEX_LEN);
    const char *suffix = name + strlen(hex);
    if (!is_hex(hex) || stays(w, hex) ||
        (*suffix && !streq(suffix, ".tar") && !streq(suffix, ".recipe")))
        return 0;
    struct stat folder = {0}, tar = {0};
    _cleanup_free_ char *info = xasprintf("%s.tar", hex);
    /* The description's time is that of the last use (see store_touch), the folder's that of its
     * coming. */
    fstatat(w->s->layers, hex, &folder, AT_SYMLINK_NOFOLLOW);
    fstatat(w->s->layers, info, &tar, AT_SYMLINK_NOFOLLOW);
    if (MAX(tar.st_mtime, folder.st_ctime) > w->newest)
        return 0;
    _cleanup_free_ char *path = xasprintf("layers/%s", name);
    w->stats.layers += !*suffix;
    return discard(w, path, err);
}

static int sweep_layers(struct sweep *w, struct err *err)
{
    _cleanup_(strv_release) struct strv names = {0};
    int r = store_names(w->s->layers, &names, err);
    strv_sort(&names); /* "HEX" before "HEX.tar" */
    for (size_t i = 0; !r && i < names.n; i++)
        r = sweep_layer(w, names.items[i], err);
    return r;
}

/* Bytes that removing it gives back: content with other links stays. */
static uint64_t space_of(int parent, const char *name)
{
    struct stat st;
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    uint64_t bytes = S_ISDIR(st.st_mode) || st.st_nlink == 1 ? (uint64_t)st.st_blocks * 512 : 0;
    if (!S_ISDIR(st.st_mode))
        return bytes;
    _cleanup_close_ int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    _cleanup_(strv_release) struct strv names = {0};
    if (fd < 0 || store_names(fd, &names, NULL) < 0)
        return bytes;
    for (size_t i = 0; i < names.n; i++)
        bytes += space_of(fd, names.items[i]);
    return bytes;
}

static int take_out_trash(struct sweep *w, struct err *err)
{
    int r = 0;
    for (size_t i = 0; !r && i < w->trash.n; i++) {
        w->stats.bytes += space_of(w->s->root, w->trash.items[i]);
        _cleanup_free_ char *path = xasprintf("%s/%s", w->s->dir, w->trash.items[i]);
        r = dir_remove(path, err);
    }
    return r;
}

static int mark_and_sweep(struct sweep *w, const struct strv *keep, struct err *err)
{
    _cleanup_close_ int lock = -1;
    int r = store_lock(w->s, true, &lock, err);
    if (!r)
        r = mark(w, keep, err);
    if (!r)
        r = sweep_blobs(w, err);
    return r < 0 ? r : sweep_layers(w, err);
}

static int collect(struct sweep *w, const struct strv *keep, struct image_gc_stats *ret,
                   struct err *err)
{
    int r = mark_and_sweep(w, keep, err);
    int removed = take_out_trash(w, r < 0 ? NULL : err);
    r = r < 0 ? r : removed;
    if (!r)
        *ret = w->stats;
    strv_release(&w->live);
    strv_release(&w->only);
    strv_release(&w->trash);
    return r < 0 ? err_wrap(err, "collecting images") : 0;
}

int image_gc(struct image_store *s, const struct strv *keep, int64_t grace_s,
             struct image_gc_stats *ret, struct err *err)
{
    struct sweep w = {.s = s, .newest = time(NULL) - grace_s, .all = true};
    return collect(&w, keep, ret, err);
}

int image_drop(struct image_store *s, const struct strv *ids, const struct strv *keep,
               int64_t grace_s, struct image_gc_stats *ret, struct err *err)
{
    struct sweep w = {.s = s, .newest = time(NULL) - grace_s};
    for (size_t i = 0; i < ids->n; i++) {
        if (!digest_valid(ids->items[i]))
            continue;
        strv_add(&w.only, digest_hex(ids->items[i]));
        mark_image(&w, ids->items[i], &w.only, NULL); /* a layer's digest names no image */
    }
    strv_sort(&w.only);
    return collect(&w, keep, ret, err);
}
