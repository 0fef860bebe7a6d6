/* OCI image-spec 1.1 image-layout.md. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "image/internal.h"
#include "image/recipe.h"
#include "os/file.h"

#define MEDIA_INDEX "application/vnd.oci.image.index.v1+json"

/* Where a layer's tar goes, and its digest on the way. */
struct hashed_file {
    int fd;
    struct sha256_ctx sum;
};

static int write_hashed(void *ctx, const void *data, size_t n, struct err *err)
{
    struct hashed_file *f = ctx;
    sha256_update(&f->sum, n, data);
    int r = image_interrupted(err);
    return r ? r : fd_write_all(f->fd, data, n, err);
}

static int write_tar(struct image_store *s, const char *diff_id, enum layer_kind kind,
                     const struct tar_sink *sink, struct err *err)
{
    _cleanup_close_ int dir =
        openat(s->layers, digest_hex(diff_id), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0)
        return err_errno(err, "opening it");
    if (kind == LAYER_SEALED) {
        struct tree_stats unused;
        return tree_tar(dir, s->uid_base, sink, &unused, err);
    }
    _cleanup_free_ char *name = xasprintf("%s.recipe", digest_hex(diff_id));
    _cleanup_close_ int recipe = openat(s->layers, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (recipe < 0)
        return err_errno(err, "opening its recipe");
    return recipe_tar(recipe, dir, sink, err);
}

static int write_layer(struct image_store *s, const char *diff_id, enum layer_kind kind,
                       const char *path, struct err *err)
{
    struct hashed_file out = {
        .fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644)};
    _cleanup_close_ int fd = out.fd;
    struct tar_sink sink = {write_hashed, &out};
    char found[DIGEST_LEN + 1];
    sha256_init(&out.sum);
    int r = fd < 0 ? err_errno(err, "creating %s", path) : write_tar(s, diff_id, kind, &sink, err);
    if (r < 0)
        return r;
    digest_finish(&out.sum, found);
    if (!streq(found, diff_id))
        return err_set(err, ERR_IO, "it was changed: its digest is now %s", found);
    return fsync(fd) < 0 ? err_errno(err, "syncing %s", path) : 0;
}

static int export_layer(struct image_store *s, const char *blobs, const char *diff_id,
                        struct err *err)
{
    struct layer_info info;
    struct stat st;
    int r = layer_info_get(s, diff_id, &info, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *path = xasprintf("%s/%s", blobs, digest_hex(diff_id));
    _cleanup_free_ char *part = xasprintf("%s/.%s.part", blobs, digest_hex(diff_id));
    if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == info.tar_size)
        return 0;
    r = write_layer(s, diff_id, info.kind, part, err);
    if (!r && rename(part, path) < 0)
        r = err_errno(err, "renaming %s", part);
    if (r < 0) {
        unlink(part);
        err_wrap(err, "layer %s", diff_id);
    }
    return r;
}

static int export_blob(struct image_store *s, const char *blobs, const char *digest, size_t max,
                       struct buf *ret, struct err *err)
{
    int r = store_get_blob(s, digest, max, ret, err);
    _cleanup_free_ char *path = xasprintf("%s/%s", blobs, digest_hex(digest));
    return r < 0 ? r : file_write_atomic(path, buf_str(ret), 0644, err);
}

/* The index that is there, or a new one. */
static int load_index(const char *path, json_t **ret, struct err *err)
{
    json_error_t where;
    _cleanup_(buf_release) struct buf text = BUF_CAP(MANIFEST_MAX);
    *ret = NULL;
    if (path_exists(path)) {
        int r = file_read(path, &text, err);
        if (r < 0)
            return r;
        *ret = json_loadb(text.ptr ? text.ptr : "", text.len, 0, &where);
        if (!json_is_array(json_object_get(*ret, "manifests"))) {
            json_decref(*ret);
            return err_set(err, ERR_INVALID, "%s is not the index of an OCI layout", path);
        }
        return 0;
    }
    *ret = json_pack("{s:i, s:s, s:[]}", "schemaVersion", 2, "mediaType", MEDIA_INDEX, "manifests");
    return 0;
}

static bool tagged(const json_t *descriptor, const char *tag)
{
    const char *name = json_string_value(json_object_get(json_object_get(descriptor, "annotations"),
                                                         "org.opencontainers.image.ref.name"));
    return name && streq(name, tag);
}

static int write_index(const char *dir, const char *tag, const char *digest, size_t size,
                       struct err *err)
{
    _cleanup_free_ char *path = xasprintf("%s/index.json", dir);
    _cleanup_free_ char *layout = xasprintf("%s/oci-layout", dir);
    _cleanup_(json_decrefp) json_t *index = NULL;
    int r = load_index(path, &index, err);
    if (r < 0)
        return r;
    json_t *list = json_object_get(index, "manifests");
    for (size_t i = json_array_size(list); i-- > 0;)
        if (tagged(json_array_get(list, i), tag))
            json_array_remove(list, i);
    json_t *d = json_pack("{s:s, s:s, s:I, s:{s:s, s:s}, s:{s:s}}", "mediaType",
                          "application/vnd.oci.image.manifest.v1+json", "digest", digest, "size",
                          (json_int_t)size, "platform", "architecture", config_host_arch(), "os",
                          "linux", "annotations", "org.opencontainers.image.ref.name", tag);
    if (!d)
        return err_set(err, ERR_INVALID, "the tag is not UTF-8");
    json_array_append_new(list, d);
    _cleanup_free_ char *text = json_dumps(index, JSON_COMPACT);
    r = file_write_atomic(layout, STR("{\"imageLayoutVersion\":\"1.0.0\"}"), 0644, err);
    return r < 0 ? r : file_write_atomic(path, str_of(text), 0644, err);
}

static int export_to(struct image_store *s, const char *ref, const char *dir, const char *tag,
                     struct err *err)
{
    char digest[DIGEST_LEN + 1];
    _cleanup_(json_decrefp) json_t *manifest = NULL;
    _cleanup_(buf_release) struct buf text = BUF_CAP(CONFIG_MAX);
    _cleanup_free_ char *blobs = xasprintf("%s/blobs/sha256", dir);
    int r = manifest_resolve(s, ref, digest, err);
    if (!r)
        r = manifest_read(s, digest, &manifest, err);
    if (!r)
        r = dir_make(blobs, 0755, err);
    const json_t *layers = json_object_get(manifest, "layers");
    for (size_t i = 0; !r && i < json_array_size(layers); i++) {
        const char *id = json_string_value(json_object_get(json_array_get(layers, i), "digest"));
        r = digest_check(id, "a layer", err);
        if (!r)
            r = export_layer(s, blobs, id, err);
    }
    const char *config =
        json_string_value(json_object_get(json_object_get(manifest, "config"), "digest"));
    if (!r)
        r = digest_check(config, "the configuration", err);
    if (!r)
        r = export_blob(s, blobs, config, CONFIG_MAX, &text, err);
    if (!r)
        r = export_blob(s, blobs, digest, MANIFEST_MAX, &text, err);
    return r < 0 ? r : write_index(dir, tag, digest, text.len, err);
}

int image_export(struct image_store *s, const char *ref, const char *dir, const char *tag,
                 struct err *err)
{
    int r = export_to(s, ref, dir, tag, err);
    return r < 0 ? err_wrap(err, "exporting %.100s", ref) : 0;
}
