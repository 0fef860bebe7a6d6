#include "builder/dockerfile.h"

#include <jansson.h>
#include <sys/stat.h>

#include "builder/limits.h"
#include "builder/stage.h"
#include "builder/tree.h"
#include "os/file.h"

enum { INSPECT_MAX = 4 << 20 };

const char *dockerfile_find(const char *dir)
{
    static const char *const names[] = {"Dockerfile", "Containerfile"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (tree_has_file(dir, names[i]))
            return names[i];
    return NULL;
}

/* What Buildah keeps is the app's own: its build could change it under the next one's feet. */
static char *cache_dir(const struct dockerfile *d)
{
    return path_join(d->stacks->config->cache, "build/apps/%s/buildah", d->app);
}

/* The image that came of the build before: a file, with its digest. Not where the build writes. */
static char *former_image(const struct dockerfile *d)
{
    return path_join(d->stacks->config->cache, "build/apps/%s/dockerfile.image", d->app);
}

static char *layouts_dir(const struct config *c) { return path_join(c->cache, "build/layouts"); }

/* Hands a stack to Buildah as an OCI layout, once for each time it is made. */
static int offer_stack(const struct dockerfile *d, const char *name, struct err *err)
{
    const struct stacks *s = d->stacks;
    _cleanup_free_ char *ref = xasprintf("stack-%s", name), *dir = layouts_dir(s->config);
    _cleanup_free_ char *layout = path_join(dir, "%s", name),
                        *mark = path_join(dir, "%s.digest", name);
    _cleanup_(strv_release) struct strv layers = {0};
    _cleanup_(buf_release) struct buf before = BUF_CAP(256);
    struct image i = {0};
    int r = stack_layers(s, ref, &layers, err);
    if (!r)
        r = image_get(s->images, ref, &i, err);
    if (r < 0)
        return r;
    bool same = file_read(mark, &before, NULL) == 0 && str_eq(buf_str(&before), str_of(i.digest));
    if (!same)
        r = dir_remove(layout, err);
    if (!same && !r)
        r = image_export(s->images, ref, layout, "latest", err);
    if (!same && !r)
        r = file_replace(mark, str_of(i.digest), 0644, err);
    image_release(&i);
    return r;
}

/* The stacks the file builds on; it may name them anywhere, so the words are enough to look for. */
static int offer_stacks(const struct dockerfile *d, struct err *err)
{
    _cleanup_free_ char *layouts = layouts_dir(d->stacks->config);
    static const char *const names[] = {"run", "build"};
    _cleanup_(buf_release) struct buf text = BUF_CAP(1 << 20);
    _cleanup_free_ char *layer = image_layer_path(d->stacks->images, d->source);
    _cleanup_free_ char *dir = path_join(layer, "app");
    int r = dir_make(layouts, 0755, err);
    if (!r)
        r = tree_read(dir, d->file, &text, err);
    for (size_t i = 0; !r && i < ARRAY_LEN(names); i++) {
        _cleanup_free_ char *words = xasprintf("davit/%s", names[i]);
        if (memmem(text.ptr, text.len, words, strlen(words)))
            r = offer_stack(d, names[i], err);
    }
    return r;
}

/* Names the layers that need not be written, since we have them: /davit/layers. */
static int offer_layers(const struct dockerfile *d, const struct stage *stage, struct err *err)
{
    _cleanup_free_ char *former = former_image(d), *path = path_join(stage->dir, "layers");
    _cleanup_(buf_release) struct buf digest = BUF_CAP(256), names = BUF_INIT;
    struct image i = {0};
    if (file_read(former, &digest, NULL) == 0 && digest.len)
        image_get(d->stacks->images, digest.ptr, &i, NULL);
    for (size_t k = 0; k < i.diff_ids.n; k++)
        if (image_layer_use(d->stacks->images, i.diff_ids.items[k]))
            buf_addf(&names, "%s\n", i.diff_ids.items[k] + sizeof("sha256:") - 1);
    image_release(&i);
    return file_replace(path, buf_str(&names), 0644, err);
}

static int run(const struct dockerfile *d, const struct strv *layers, const struct stage *stage,
               const char *upper, const char *cache, struct err *err)
{
    const struct stacks *s = d->stacks;
    const char *const argv[] = {"/bin/bash", "/davit/lib/dockerfile", d->file, d->app, NULL};
    _cleanup_free_ char *layouts = layouts_dir(s->config);
    const struct bundle_mount bind = {layouts, "/stacks", false};
    _cleanup_(map_release) struct map env = {0};
    map_set(&env, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    map_set(&env, "LANG", "C.UTF-8");
    struct container container = {.config = s->config,
                                  .images = s->images,
                                  .name = d->id,
                                  .layers = layers,
                                  .upper = upper,
                                  .binds = &bind,
                                  .n_binds = 1,
                                  .argv = argv,
                                  .env = &env,
                                  .user = CONTAINER_BUILDER,
                                  .cancel = s->cancel};
    return stage_run(stage, &container, cache, s->out, err);
}

static void read_healthcheck(const char *cache, char **ret)
{
    _cleanup_(buf_release) struct buf text = BUF_CAP(INSPECT_MAX);
    if (tree_read(cache, "inspect.json", &text, NULL) < 0 || !text.len)
        return;
    json_t *o = json_loadb(text.ptr, text.len, 0, NULL);
    json_t *config = json_object_get(json_object_get(o, "Docker"), "config");
    *ret = json_dumps(json_object_get(config, "Healthcheck"), JSON_COMPACT);
    json_decref(o);
}

/* What lies in the cache is the build's to choose: it may be a link to anything. */
static int import(const struct dockerfile *d, const char *cache, char **ret, struct err *err)
{
    _cleanup_free_ char *layout = path_join(cache, "image");
    _cleanup_free_ char *source = xasprintf("oci:%s:latest", layout);
    _cleanup_free_ char *former = former_image(d);
    struct stat st;
    if (lstat(layout, &st) < 0 || !S_ISDIR(st.st_mode))
        return err_set(err, ERR_UNPROCESSABLE, "the build left no image");
    const struct unpack_limits limits = layer_limits(d->stacks->config);
    int r = image_import(d->stacks->images, source, &limits, ret, err);
    dir_remove(layout, NULL);
    if (!r)
        r = file_replace(former, str_of(*ret), 0644, err);
    return r ? err_wrap(err, "taking in the image that was built") : 0;
}

int dockerfile_build(const struct dockerfile *d, char **ret_digest, char **ret_healthcheck,
                     struct err *err)
{
    const struct stacks *s = d->stacks;
    _cleanup_(strv_release) struct strv layers = {0};
    _cleanup_(stage_release) struct stage stage = {0};
    _cleanup_free_ char *upper = NULL, *cache = cache_dir(d);
    const struct list no_packs = {0};
    output_step(s->out, "%s app detected", d->file);
    int r = stack_layers(s, "tool-buildah", &layers, err);
    if (!r)
        r = offer_stacks(d, err);
    if (!r)
        r = stage_make(s->config, d->id, &no_packs, d->vars, NULL, 0, &stage, err);
    if (!r)
        r = image_tmp_dir(s->images, &upper, err);
    strv_add(&layers, d->source);
    if (!r)
        r = offer_layers(d, &stage, err);
    if (!r)
        r = run(d, &layers, &stage, upper, cache, err);
    if (!r)
        r = import(d, cache, ret_digest, err);
    if (!r)
        read_healthcheck(cache, ret_healthcheck);
    if (upper)
        dir_remove(upper, NULL);
    return r;
}
