#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "image/internal.h"
#include "image/pick.h"
#include "image/recipe.h"
#include "image/unpack.h"
#include "os/file.h"

/* A layer being unpacked: its folder and its recipe, both below tmp/. */
struct incoming {
    char *dir, *recipe;
    int recipe_fd;
};

static void incoming_release(struct incoming *in)
{
    if (in->dir)
        dir_remove(in->dir, NULL);
    if (in->recipe)
        unlink(in->recipe);
    closep(&in->recipe_fd);
    free(in->dir);
    free(in->recipe);
}

static int prepare(struct image_store *s, struct incoming *ret, struct err *err)
{
    int r = image_tmp_dir(s, &ret->dir, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *name = store_tmp_name();
    ret->recipe_fd = openat(s->root, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (ret->recipe_fd < 0)
        return err_errno(err, "creating %s/%s", s->dir, name);
    ret->recipe = xasprintf("%s/%s", s->dir, name);
    return 0;
}

/* A recipe that is all of the tar, for one whose entries replace each other. */
static int write_whole_recipe(struct incoming *in, const struct stream_spec *spec, struct err *err)
{
    _cleanup_(recipe_freep) struct recipe *recipe = NULL;
    _cleanup_(stream_closep) struct stream *stream = NULL;
    struct stream_spec again = *spec;
    again.max = UINT64_MAX; /* it passed the limits already */
    if (ftruncate(in->recipe_fd, 0) < 0 || lseek(in->recipe_fd, 0, SEEK_SET) < 0)
        return err_errno(err, "writing a recipe");
    int r = recipe_new(in->recipe_fd, &recipe, err);
    if (!r)
        r = stream_open(&again, &stream, err);
    while (!r) {
        const void *block;
        ssize_t n = stream_next(stream, &block, err);
        if (n == 0)
            break;
        r = n < 0 ? (int)n : recipe_add(recipe, block, (size_t)n, err);
    }
    if (!r)
        r = stream_finish(stream, err);
    return r < 0 ? r : recipe_finish(recipe, err);
}

static int unpack_layer(struct image_store *s, struct incoming *in, const struct stream_spec *spec,
                        const struct unpack_limits *limits, struct unpack_result *ret,
                        struct err *err)
{
    _cleanup_(recipe_freep) struct recipe *recipe = NULL;
    int r = recipe_new(in->recipe_fd, &recipe, err);
    if (r < 0)
        return r;
    struct unpack_job job = {
        .source = *spec, .dir = in->dir, .whiteouts = true, .limits = limits, .recipe = recipe};
    r = unpack_run(s, &job, ret, err);
    if (!r && ret->recipe_holds)
        return recipe_finish(recipe, err);
    recipe_free(TAKE_PTR(recipe)); /* before its file is written anew */
    return r < 0 ? r : write_whole_recipe(in, spec, err);
}

static int import_layer(struct image_store *s, struct bundle *b, const struct picked_layer *layer,
                        const char *diff_id, const struct unpack_limits *limits, struct err *err)
{
    _cleanup_(region_release) struct region at = REGION_NONE;
    _cleanup_(incoming_release) struct incoming in = {.recipe_fd = -1};
    struct unpack_result result;
    int r = bundle_find(b, layer->name, &at, err);
    if (!r && !at.size)
        r = err_set(err, ERR_INVALID, "it is empty");
    if (!r)
        r = prepare(s, &in, err);
    if (r < 0)
        return r;
    struct stream_spec spec = {.fd = at.fd,
                               .offset = at.offset,
                               .size = at.size,
                               .digest = layer->digest,
                               .diff_id = diff_id};
    r = unpack_layer(s, &in, &spec, limits, &result, err);
    if (!r && fsync(in.recipe_fd) < 0)
        r = err_errno(err, "syncing a recipe");
    if (r < 0)
        return r;
    struct layer_info info = {LAYER_IMPORTED, result.tar_size};
    return layer_publish(s, in.dir, diff_id, &info, in.recipe, result.entries, err);
}

static int import_layers(struct image_store *s, struct bundle *b, const struct picked *p,
                         const struct strv *diff_ids, const struct unpack_limits *limits,
                         struct err *err)
{
    if (p->n != diff_ids->n)
        return err_set(err, ERR_INVALID, "%zu layers, but %zu in the configuration", p->n,
                       diff_ids->n);
    for (size_t i = 0; i < p->n; i++) {
        int r = 0;
        if (!image_layer_use(s, diff_ids->items[i]))
            r = import_layer(s, b, &p->layers[i], diff_ids->items[i], limits, err);
        if (r < 0)
            return err_wrap(err, "layer %zu of %zu", i + 1, p->n);
    }
    return 0;
}

static int import_bundle(struct image_store *s, const char *path, const char *tag, bool docker,
                         const struct unpack_limits *limits, char **ret_digest, struct err *err)
{
    _cleanup_(bundle_closep) struct bundle *b = NULL;
    _cleanup_(picked_release) struct picked p = {0};
    _cleanup_(image_release) struct image i = {0};
    int r = bundle_open(s, path, limits, &b, err);
    if (!r)
        r = docker ? pick_docker(b, tag, &p, err) : pick_oci(b, tag, &p, err);
    if (!r)
        r = config_decode(buf_str(&p.config), &i, err);
    if (!r)
        r = import_layers(s, b, &p, &i.diff_ids, limits, err);
    return r < 0 ? r : manifest_write(s, buf_str(&p.config), &i, ret_digest, err);
}

/* "PATH[:TAG]", where a path that exists is one even with a colon in it. */
static void split_tag(const char *text, char **ret_path, const char **ret_tag)
{
    *ret_path = xstrdup(text);
    *ret_tag = NULL;
    for (const char *colon = text; !path_exists(*ret_path) && (colon = strchr(colon, ':'));
         colon++) {
        free(*ret_path);
        *ret_path = xstrndup(text, (size_t)(colon - text));
        *ret_tag = colon + 1;
    }
    if (path_exists(*ret_path))
        return;
    free(*ret_path);
    *ret_path = xstrdup(text);
    *ret_tag = NULL;
}

static int import_registry(struct image_store *s, const char *source,
                           const struct unpack_limits *limits, char **ret_digest, struct err *err)
{
    _cleanup_free_ char *dir = NULL;
    int r = image_tmp_dir(s, &dir, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *layout = xasprintf("%s/layout", dir);
    r = registry_fetch(s, source, limits, dir, layout, err);
    if (!r)
        r = import_bundle(s, layout, "image", false, limits, ret_digest, err);
    dir_remove(dir, NULL);
    return r;
}

static int import_from(struct image_store *s, const char *source,
                       const struct unpack_limits *limits, char **ret_digest, struct err *err)
{
    struct str rest = str_of(source), kind = str_cut(&rest, ':');
    if (str_eq(kind, STR("docker")) && rest.ptr && str_starts(rest, STR("//")))
        return import_registry(s, source, limits, ret_digest, err);
    bool docker = str_eq(kind, STR("docker-archive"));
    bool oci = str_eq(kind, STR("oci")) || str_eq(kind, STR("oci-archive"));
    if (!rest.len || (!docker && !oci)) {
        err_set(err, ERR_INVALID, "that names no image");
        return err_hint(err, "say oci:DIR, oci-archive:FILE, docker-archive:FILE or "
                             "docker://REGISTRY/NAME:TAG");
    }
    _cleanup_free_ char *path = NULL;
    const char *tag;
    split_tag(rest.ptr, &path, &tag);
    return import_bundle(s, path, tag, docker, limits, ret_digest, err);
}

int image_import(struct image_store *s, const char *source, const struct unpack_limits *limits,
                 char **ret_digest, struct err *err)
{
    int r = import_from(s, source, limits, ret_digest, err);
    return r < 0 ? err_wrap(err, "importing %.200s", source) : 0;
}
