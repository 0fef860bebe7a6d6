/* OCI image-spec 1.1 manifest.md. The manifest of an image here follows from its configuration and
 * the sizes of its layers' tars alone: wherever the image came from, however it was compressed
 * there, it has the same digest. */
#include "image/internal.h"

#define MEDIA_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define MEDIA_CONFIG "application/vnd.oci.image.config.v1+json"
#define MEDIA_LAYER "application/vnd.oci.image.layer.v1.tar"

static json_t *descriptor(const char *type, const char *digest, uint64_t size)
{
    return json_pack("{s:s, s:s, s:I}", "mediaType", type, "digest", digest, "size",
                     (json_int_t)size);
}

/* Descriptors of the layers, each kept from the collector. Under the shared lock. */
static int describe_layers(struct image_store *s, const struct strv *diff_ids, json_t *ret,
                           struct err *err)
{
    for (size_t i = 0; i < diff_ids->n; i++) {
        const char *id = diff_ids->items[i];
        struct layer_info info;
        int r = digest_check(id, "a layer", err);
        if (!r)
            r = layer_info_get(s, id, &info, err);
        if (r < 0)
            return r;
        _cleanup_free_ char *path = xasprintf("layers/%s.tar", digest_hex(id));
        if (!store_touch(s, path))
            return err_set(err, ERR_NOT_FOUND, "there is no layer %s", id);
        json_array_append_new(ret, descriptor(MEDIA_LAYER, id, info.tar_size));
    }
    return 0;
}

int manifest_write(struct image_store *s, struct str config, const struct image *i,
                   char **ret_digest, struct err *err)
{
    _cleanup_(json_decrefp) json_t *layers = json_array();
    _cleanup_close_ int lock = -1;
    char config_digest[DIGEST_LEN + 1], digest[DIGEST_LEN + 1];
    int r = store_lock(s, false, &lock, err);
    if (!r)
        r = describe_layers(s, &i->diff_ids, layers, err);
    if (!r)
        r = store_put_blob(s, config, config_digest, err);
    if (r < 0)
        return r;
    _cleanup_(json_decrefp) json_t *o =
        json_pack("{s:i, s:s, s:o, s:O}", "schemaVersion", 2, "mediaType", MEDIA_MANIFEST, "config",
                  descriptor(MEDIA_CONFIG, config_digest, config.len), "layers", layers);
    _cleanup_free_ char *text = json_dumps(o, JSON_COMPACT);
    r = store_put_blob(s, str_of(text), digest, err);
    if (!r)
        r = store_sync(s->blobs, err);
    if (!r)
        *ret_digest = xstrdup(digest);
    return r;
}

int image_write(struct image_store *s, const struct image *i, char **ret_digest, struct err *err)
{
    _cleanup_free_ char *config = config_encode(i);
    if (!config)
        return err_set(err, ERR_INVALID, "writing an image: its configuration is not UTF-8");
    int r = manifest_write(s, str_of(config), i, ret_digest, err);
    return r < 0 ? err_wrap(err, "writing an image") : 0;
}

int manifest_read(struct image_store *s, const char *digest, json_t **ret, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_CAP(MANIFEST_MAX);
    int r = store_get_blob(s, digest, MANIFEST_MAX, &text, err);
    if (r < 0)
        return r;
    json_error_t where;
    _cleanup_(json_decrefp) json_t *o = json_loadb(text.ptr, text.len, 0, &where);
    if (!o)
        return err_set(err, ERR_INVALID, "manifest %s, line %d column %d: %s", digest, where.line,
                       where.column, where.text);
    *ret = TAKE_PTR(o);
    return 0;
}

static int read_image(struct image_store *s, const char *digest, struct image *ret, struct err *err)
{
    _cleanup_(json_decrefp) json_t *manifest = NULL;
    _cleanup_(buf_release) struct buf config = BUF_CAP(CONFIG_MAX);
    int r = manifest_read(s, digest, &manifest, err);
    if (r < 0)
        return r;
    const char *config_digest =
        json_string_value(json_object_get(json_object_get(manifest, "config"), "digest"));
    if ((r = digest_check(config_digest, "the manifest's configuration", err)) < 0 ||
        (r = store_get_blob(s, config_digest, CONFIG_MAX, &config, err)) < 0)
        return r;
    return config_decode(buf_str(&config), ret, err);
}

int image_get(struct image_store *s, const char *ref, struct image *ret, struct err *err)
{
    char digest[DIGEST_LEN + 1];
    _cleanup_(image_release) struct image i = {0};
    int r = manifest_resolve(s, ref, digest, err);
    if (r < 0)
        return r;
    if ((r = read_image(s, digest, &i, err)) < 0)
        return err_wrap(err, "image %.100s", ref);
    for (size_t n = 0; n < i.diff_ids.n; n++)
        if (!layer_exists(s, i.diff_ids.items[n]))
            return err_set(err, ERR_NOT_FOUND, "image %.100s: its layer %s is missing", ref,
                           i.diff_ids.items[n]);
    i.digest = xstrdup(digest);
    *ret = i;
    i = (struct image){0};
    return 0;
}
