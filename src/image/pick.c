#include "image/pick.h"

#include "image/internal.h"

/* overlayfs takes no more lower layers. */
enum { LAYERS_MAX = 500, NESTING_MAX = 4 };

void picked_release(struct picked *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free(p->layers[i].name);
        free(p->layers[i].digest);
    }
    free(p->layers);
    buf_release(&p->config);
    *p = (struct picked){0};
}

static int parse(const struct buf *text, const char *name, json_t **ret, struct err *err)
{
    json_error_t where;
    *ret = json_loadb(text->ptr ? text->ptr : "", text->len, JSON_REJECT_DUPLICATES, &where);
    if (*ret)
        return 0;
    return err_set(err, ERR_INVALID, "%s, line %d column %d: %s", name, where.line, where.column,
                   where.text);
}

static int load(struct bundle *b, const char *name, json_t **ret, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_CAP(MANIFEST_MAX);
    int r = bundle_read(b, name, MANIFEST_MAX, &text, err);
    return r < 0 ? r : parse(&text, name, ret, err);
}

static const char *get(const json_t *o, const char *key)
{
    const char *value = json_string_value(json_object_get(o, key));
    return value ? value : "";
}

/* Reads what a descriptor (OCI image-spec 1.1 descriptor.md) describes. */
static int load_blob(struct bundle *b, const json_t *descriptor, size_t max, struct buf *ret,
                     struct err *err)
{
    const char *digest = get(descriptor, "digest");
    const json_t *size = json_object_get(descriptor, "size");
    int r = digest_check(digest, "a descriptor", err);
    if (r < 0)
        return r;
    _cleanup_free_ char *name = digest_blob(digest);
    char found[DIGEST_LEN + 1];
    if ((r = bundle_read(b, name, max, ret, err)) < 0)
        return r;
    digest_of(buf_str(ret), found);
    if (!streq(found, digest))
        return err_set(err, ERR_INVALID, "wrong digest: %s has %s", name, found);
    if (size && (uint64_t)json_integer_value(size) != ret->len)
        return err_set(err, ERR_INVALID, "%s has not the size its descriptor gives", name);
    return 0;
}

static bool is_index(const char *type)
{
    return streq(type, "application/vnd.oci.image.index.v1+json") ||
           streq(type, "application/vnd.docker.distribution.manifest.list.v2+json");
}

static bool is_manifest(const char *type)
{
    return streq(type, "application/vnd.oci.image.manifest.v1+json") ||
           streq(type, "application/vnd.docker.distribution.manifest.v2+json");
}

/* Whether the descriptor may be of this machine's kind; without a platform it may. */
static bool fits_machine(const json_t *descriptor)
{
    const json_t *p = json_object_get(descriptor, "platform");
    return !p ||
           (streq(get(p, "os"), "linux") && streq(get(p, "architecture"), config_host_arch()));
}

static int wrong_machine(const json_t *platform, struct err *err)
{
    return err_set(err, ERR_UNPROCESSABLE, "the image is for %.40s/%.40s; this machine is linux/%s",
                   get(platform, "os"), get(platform, "architecture"), config_host_arch());
}

static bool has_tag(const json_t *descriptor, const char *tag)
{
    const json_t *notes = json_object_get(descriptor, "annotations");
    return streq(get(notes, "org.opencontainers.image.ref.name"), tag) ||
           streq(get(notes, "io.containerd.image.name"), tag);
}

/* The only image among `list` that has the tag and fits this machine. */
static int choose(const json_t *list, const char *tag, const json_t **ret, struct err *err)
{
    const json_t *chosen = NULL, *other = NULL;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *d = json_array_get(list, i);
        const char *type = get(d, "mediaType");
        if ((tag && !has_tag(d, tag)) || (!is_index(type) && !is_manifest(type)))
            continue;
        if (!fits_machine(d)) {
            other = d;
            continue;
        }
        if (chosen && !tag && !json_object_get(d, "platform"))
            return err_set(err, ERR_INVALID, "it holds several images: say which by its tag");
        if (!chosen)
            chosen = d;
    }
    if (!chosen && other)
        return wrong_machine(json_object_get(other, "platform"), err);
    if (!chosen)
        return tag ? err_set(err, ERR_NOT_FOUND, "there is no image tagged '%.100s' in it", tag)
                   : err_set(err, ERR_NOT_FOUND, "there is no image in it");
    *ret = chosen;
    return 0;
}

static int check_machine(const struct buf *config, struct err *err)
{
    _cleanup_(json_decrefp) json_t *o = NULL;
    int r = parse(config, "image configuration", &o, err);
    if (r < 0)
        return r;
    const char *arch = get(o, "architecture"), *os = get(o, "os");
    bool fits = (!*arch || streq(arch, config_host_arch())) && (!*os || streq(os, "linux"));
    return fits ? 0 : wrong_machine(o, err);
}

static int add_layer(struct picked *p, char *name, const char *digest, struct err *err)
{
    if (p->n == LAYERS_MAX) {
        free(name);
        return err_set(err, ERR_UNPROCESSABLE, "the image has more than %d layers", LAYERS_MAX);
    }
    if (!p->layers)
        p->layers = xcalloc(LAYERS_MAX, sizeof(*p->layers));
    p->layers[p->n++] = (struct picked_layer){name, digest ? xstrdup(digest) : NULL};
    return 0;
}

static int read_manifest(struct bundle *b, const json_t *manifest, struct picked *ret,
                         struct err *err)
{
    const json_t *layers = json_object_get(manifest, "layers");
    ret->config = BUF_CAP(CONFIG_MAX);
    int r = load_blob(b, json_object_get(manifest, "config"), CONFIG_MAX, &ret->config, err);
    if (!r)
        r = check_machine(&ret->config, err);
    for (size_t i = 0; !r && i < json_array_size(layers); i++) {
        const char *digest = get(json_array_get(layers, i), "digest");
        r = digest_check(digest, "a layer", err);
        if (!r)
            r = add_layer(ret, digest_blob(digest), digest, err);
    }
    return r;
}

/* Follows a descriptor through indexes to a manifest. */
static int follow(struct bundle *b, const json_t *list, const char *tag, unsigned depth,
                  struct picked *ret, struct err *err)
{
    const json_t *d = NULL;
    _cleanup_(json_decrefp) json_t *o = NULL;
    _cleanup_(buf_release) struct buf text = BUF_CAP(MANIFEST_MAX);
    if (depth > NESTING_MAX)
        return err_set(err, ERR_INVALID, "indexes of indexes, too deep");
    int r = choose(list, tag, &d, err);
    if (!r)
        r = load_blob(b, d, MANIFEST_MAX, &text, err);
    if (!r)
        r = parse(&text, "manifest", &o, err);
    if (r < 0)
        return r;
    if (is_index(get(d, "mediaType")))
        return follow(b, json_object_get(o, "manifests"), NULL, depth + 1, ret, err);
    return read_manifest(b, o, ret, err);
}

int pick_oci(struct bundle *b, const char *tag, struct picked *ret, struct err *err)
{
    _cleanup_(json_decrefp) json_t *layout = NULL;
    _cleanup_(json_decrefp) json_t *index = NULL;
    _cleanup_(picked_release) struct picked p = {0};
    int r = load(b, "oci-layout", &layout, err);
    if (!r && !streq(get(layout, "imageLayoutVersion"), "1.0.0"))
        r = err_set(err, ERR_INVALID, "oci-layout: a version that is not 1.0.0");
    if (!r)
        r = load(b, "index.json", &index, err);
    if (!r)
        r = follow(b, json_object_get(index, "manifests"), tag, 0, &p, err);
    if (r < 0)
        return r;
    *ret = p;
    p = (struct picked){0};
    return 0;
}

/* "docker.io/library/app:v1" is "app:v1" too, and "app" is "app:latest". */
static bool names_same(struct str full, struct str asked)
{
    if (full.len < asked.len)
        return false;
    struct str tail = {full.ptr + full.len - asked.len, asked.len};
    return str_eq(tail, asked) && (tail.ptr == full.ptr || tail.ptr[-1] == '/');
}

static bool has_repo_tag(const json_t *image, const char *tag)
{
    const json_t *tags = json_object_get(image, "RepoTags");
    _cleanup_free_ char *latest = xasprintf("%s:latest", tag);
    for (size_t i = 0; i < json_array_size(tags); i++) {
        struct str name = str_of(json_string_value(json_array_get(tags, i)));
        if (names_same(name, str_of(tag)) || names_same(name, str_of(latest)))
            return true;
    }
    return false;
}

static int choose_docker(const json_t *list, const char *tag, const json_t **ret, struct err *err)
{
    *ret = NULL;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *image = json_array_get(list, i);
        if (tag && !has_repo_tag(image, tag))
            continue;
        if (*ret)
            return err_set(err, ERR_INVALID, "it holds several images: say which by its tag");
        *ret = image;
    }
    if (!*ret)
        return err_set(err, ERR_NOT_FOUND, "there is no image%s%.100s in it", tag ? " tagged " : "",
                       tag ? tag : "");
    return 0;
}

int pick_docker(struct bundle *b, const char *tag, struct picked *ret, struct err *err)
{
    _cleanup_(json_decrefp) json_t *list = NULL;
    _cleanup_(picked_release) struct picked p = {.config = BUF_CAP(CONFIG_MAX)};
    const json_t *image;
    int r = load(b, "manifest.json", &list, err);
    if (!r)
        r = choose_docker(list, tag, &image, err);
    if (!r)
        r = bundle_read(b, get(image, "Config"), CONFIG_MAX, &p.config, err);
    if (!r)
        r = check_machine(&p.config, err);
    const json_t *layers = r ? NULL : json_object_get(image, "Layers");
    for (size_t i = 0; !r && i < json_array_size(layers); i++) {
        const char *name = json_string_value(json_array_get(layers, i));
        r = name ? add_layer(&p, xstrdup(name), NULL, err)
                 : err_set(err, ERR_INVALID, "manifest.json: Layers are not names");
    }
    if (r < 0)
        return r;
    *ret = p;
    p = (struct picked){0};
    return 0;
}
