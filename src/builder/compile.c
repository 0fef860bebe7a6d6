#include "builder/compile.h"

#include "builder/limits.h"
#include "builder/tree.h"
#include "os/file.h"

enum { RELEASE_YAML_MAX = 64 * 1024, DEPENDS_MAX = 256 * 1024 };

struct run {
    const struct compile *c;
    struct stage stage;
    char *upper, *work; /* below the image store's tmp/ */
};

static void run_release(struct run *r)
{
    char *dirs[] = {r->upper, r->work};
    stage_release(&r->stage);
    for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
        if (dirs[i])
            dir_remove(dirs[i], NULL);
        free(dirs[i]);
    }
}

void compiled_release(struct compiled *c)
{
    free(c->title);
    free(c->diff_id);
    map_release(&c->processes);
    map_release(&c->env);
    strv_release(&c->depends);
    *c = (struct compiled){0};
}

static void make_env(const struct compile *c, struct map *ret)
{
    map_set(ret, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    map_set(ret, "HOME", "/app");
    map_set(ret, "LANG", "C.UTF-8");
    map_set(ret, "CI", "1");
    map_set(ret, "STACK", "davit");
    map_set(ret, "DAVIT_APP", c->app);
    map_set(ret, "SOURCE_VERSION", c->commit ? c->commit : "");
}

static int write_site(const struct stage *stage, const struct site *site, struct err *err)
{
    const char *const files[][2] = {
        {"root", site->root ? site->root : ""}, {"http", site->http}, {"server", site->server}};
    _cleanup_free_ char *dir = path_join(stage->dir, "site");
    int r = dir_make(dir, 0755, err);
    for (size_t i = 0; !r && i < ARRAY_LEN(files); i++) {
        _cleanup_free_ char *path = path_join(dir, "%s", files[i][0]);
        r = file_replace(path, str_of(files[i][1]), 0644, err);
    }
    return r;
}

/* --- after ----------------------------------------------------------------------------------- */

void env_merge(struct map *ret, const struct map *more)
{
    const char *former = map_get(ret, "PATH"), *path = map_get(more, "PATH");
    _cleanup_free_ char *both = former && path ? xasprintf("%s:%s", path, former) : NULL;
    map_copy(ret, more);
    if (both)
        map_set(ret, "PATH", both);
}

static int read_release(const struct run *run, size_t i, struct compiled *ret, struct err *err)
{
    _cleanup_free_ char *path = xasprintf("out/%03zu.release", i);
    _cleanup_(buf_release) struct buf text = BUF_CAP(RELEASE_YAML_MAX);
    int r = tree_read(run->stage.dir, path, &text, err);
    if (r == -ERR_NOT_FOUND)
        return 0;
    _cleanup_(map_release) struct map env = {0};
    if (!r)
        r = release_yaml_parse(buf_str(&text), &ret->processes, &env, err);
    env_merge(&ret->env, &env);
    return r ? err_wrap(err, "what %s's bin/release says",
                        list_at(run->c->buildpacks, struct buildpack, i)->name)
             : 0;
}

/* No such file, or one that can't be understood: the result depends on everything. */
static bool read_depends(const struct run *run, size_t i, struct strv *ret)
{
    _cleanup_free_ char *path = xasprintf("out/%03zu.depends", i);
    _cleanup_(buf_release) struct buf text = BUF_CAP(DEPENDS_MAX);
    if (tree_read(run->stage.dir, path, &text, NULL) < 0)
        return false;
    struct str rest = buf_str(&text);
    while (rest.ptr) {
        struct str line = str_cut(&rest, '\n');
        if (line.len)
            strv_take(ret, xstrndup(line.ptr, line.len));
    }
    return true;
}

static int read_results(const struct run *run, struct compiled *ret, struct err *err)
{
    int r = 0;
    ret->depends_known = true;
    for (size_t i = 0; !r && i < run->c->buildpacks->n; i++) {
        _cleanup_free_ char *name = xasprintf("out/%03zu.name", i);
        stage_line(&run->stage, name, &ret->title);
        ret->depends_known &= read_depends(run, i, &ret->depends);
        r = read_release(run, i, ret, err);
    }
    return r;
}

/* Only what was written below /app becomes the layer: the rest of the container is scaffolding. */
static int seal(struct run *run, char **ret, struct err *err)
{
    _cleanup_free_ char *from = path_join(run->upper, "app");
    _cleanup_(strv_release) struct strv names = {0};
    if (!path_exists(from))
        return 0;
    int r = tree_names(from, &names, err);
    if (r < 0 || !names.n)
        return r;
    if ((r = image_tmp_dir(run->c->images, &run->work, err)) < 0)
        return r;
    _cleanup_free_ char *to = path_join(run->work, "app");
    if (rename(from, to) < 0)
        return err_errno(err, "renaming %s", from);
    const struct unpack_limits limits = layer_limits(run->c->config);
    return image_layer_seal_within(run->c->images, run->work, &limits, ret, err);
}

int compile_run(const struct compile *c, struct compiled *ret, struct err *err)
{
    static const char *const argv[] = {"/bin/sh", "/davit/lib/drive", NULL};
    _cleanup_(run_release) struct run run = {.c = c};
    _cleanup_(map_release) struct map env = {0};
    make_env(c, &env);
    int r =
        stage_make(c->config, c->id, c->buildpacks, c->vars, c->facts, APP_UID, &run.stage, err);
    if (!r && c->site)
        r = write_site(&run.stage, c->site, err);
    if (!r)
        r = image_tmp_dir(c->images, &run.upper, err);
    struct container container = {.config = c->config,
                                  .images = c->images,
                                  .name = c->id,
                                  .layers = c->layers,
                                  .upper = run.upper,
                                  .argv = argv,
                                  .env = &env,
                                  .user = CONTAINER_APP,
                                  .cancel = c->cancel};
    if (!r)
        r = stage_run(&run.stage, &container, c->cache, c->out, err);
    if (!r)
        r = read_results(&run, ret, err);
    return r ? r : seal(&run, &ret->diff_id, err);
}
