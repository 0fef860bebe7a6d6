#include "build/compile.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "build/tree.h"
#include "os/file.h"
#include "os/spawn.h"

enum { RELEASE_YAML_MAX = 64 * 1024, DEPENDS_MAX = 256 * 1024 };

/* What the container sees as /davit:
 *     lib/drive          runs the buildpacks
 *     buildpacks/000/…   copies, theirs to write to (the classic "export" file)
 *     env/NAME           config variables
 *     out/000.{name,release,depends}, out/failed */
struct stage {
    const struct compile *c;
    char *dir, *upper, *work;
};

static void stage_release(struct stage *s)
{
    char *dirs[] = {s->dir, s->upper, s->work};
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

/* --- before ---------------------------------------------------------------------------------- */

static int copy_tree(const char *from, const char *to, struct err *err)
{
    const char *const argv[] = {"cp", "-RPT", "--", from, to, NULL};
    return spawn_run(argv, (struct str){0}, NULL, err);
}

static int write_vars(const char *dir, const struct map *vars, struct err *err)
{
    int r = dir_make(dir, 0700, err);
    for (size_t i = 0; !r && i < vars->n; i++) {
        _cleanup_free_ char *path = path_join(dir, "%s", vars->items[i].name);
        r = file_replace(path, str_of(vars->items[i].value), 0400, err);
    }
    return r;
}

static int fill(const struct stage *s, struct err *err)
{
    _cleanup_free_ char *lib = path_join(s->dir, "lib"), *env = path_join(s->dir, "env"),
                        *out = path_join(s->dir, "out"), *packs = path_join(s->dir, "buildpacks"),
                        *from = path_join(s->c->config->data, "buildpacks/lib");
    int r = dir_make(packs, 0755, err);
    if (!r)
        r = dir_make(out, 0755, err);
    if (!r)
        r = copy_tree(from, lib, err);
    if (!r)
        r = write_vars(env, s->c->vars, err);
    for (size_t i = 0; !r && i < s->c->buildpacks->n; i++) {
        _cleanup_free_ char *to = path_join(packs, "%03zu", i);
        r = copy_tree(list_at(s->c->buildpacks, struct buildpack, i)->dir, to, err);
    }
    return r;
}

static int hand_over(const struct stage *s, struct err *err)
{
    long long app = (long long)s->c->config->uid_base + APP_UID;
    _cleanup_free_ char *owner = xasprintf("%lld:%lld", app, app);
    const char *const argv[] = {"chown", "-RP", "--", owner, s->dir, NULL};
    return spawn_run(argv, (struct str){0}, NULL, err);
}

static int stage_make(struct stage *s, struct err *err)
{
    s->dir = path_join(s->c->config->run, "build/%s.stage", s->c->id);
    dir_remove(s->dir, NULL);
    int r = fill(s, err);
    if (!r)
        r = hand_over(s, err);
    return r ? r : image_tmp_dir(s->c->images, &s->upper, err);
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
    container_network_env(ret);
}

/* --- after ----------------------------------------------------------------------------------- */

static int read_release(const struct stage *s, size_t i, struct compiled *ret, struct err *err)
{
    _cleanup_free_ char *path = xasprintf("out/%03zu.release", i);
    _cleanup_(buf_release) struct buf text = BUF_CAP(RELEASE_YAML_MAX);
    int r = tree_read(s->dir, path, &text, err);
    if (r == -ERR_NOT_FOUND)
        return 0;
    if (!r)
        r = release_yaml_parse(buf_str(&text), &ret->processes, &ret->env, err);
    return r ? err_wrap(err, "what %s's bin/release says",
                        list_at(s->c->buildpacks, struct buildpack, i)->name)
             : 0;
}

/* No such file, or one that can't be understood: the result depends on everything. */
static bool read_depends(const struct stage *s, size_t i, struct strv *ret)
{
    _cleanup_free_ char *path = xasprintf("out/%03zu.depends", i);
    _cleanup_(buf_release) struct buf text = BUF_CAP(DEPENDS_MAX);
    if (tree_read(s->dir, path, &text, NULL) < 0)
        return false;
    struct str rest = buf_str(&text);
    while (rest.ptr) {
        struct str line = str_cut(&rest, '\n');
        if (line.len)
            strv_take(ret, xstrndup(line.ptr, line.len));
    }
    return true;
}

static void read_line(const struct stage *s, const char *path, char **ret)
{
    _cleanup_(buf_release) struct buf text = BUF_CAP(1024);
    if (tree_read(s->dir, path, &text, NULL) < 0)
        return;
    struct str rest = buf_str(&text), line = str_trim(str_cut(&rest, '\n'));
    free(*ret);
    *ret = xstrndup(line.len ? line.ptr : "", line.len);
}

static int read_results(const struct stage *s, struct compiled *ret, struct err *err)
{
    int r = 0;
    ret->depends_known = true;
    for (size_t i = 0; !r && i < s->c->buildpacks->n; i++) {
        _cleanup_free_ char *name = xasprintf("out/%03zu.name", i);
        read_line(s, name, &ret->title);
        ret->depends_known &= read_depends(s, i, &ret->depends);
        r = read_release(s, i, ret, err);
    }
    return r;
}

static int failure(const struct stage *s, int status, struct err *err)
{
    _cleanup_free_ char *failed = NULL;
    read_line(s, "out/failed", &failed);
    if (failed)
        return err_set(err, ERR_UNPROCESSABLE, "%s", failed);
    return err_set(err, ERR_INTERNAL, "the build's container ended with status %d", status);
}

/* Only what was written below /app becomes the layer: the rest of the container is scaffolding. */
static int seal(struct stage *s, char **ret, struct err *err)
{
    _cleanup_free_ char *from = path_join(s->upper, "app");
    _cleanup_(strv_release) struct strv names = {0};
    if (!path_exists(from))
        return 0;
    int r = tree_names(from, &names, err);
    if (r < 0 || !names.n)
        return r;
    if ((r = image_tmp_dir(s->c->images, &s->work, err)) < 0)
        return r;
    _cleanup_free_ char *to = path_join(s->work, "app");
    if (rename(from, to) < 0)
        return err_errno(err, "renaming %s", from);
    return image_layer_seal(s->c->images, s->work, ret, err);
}

int compile_run(const struct compile *c, struct compiled *ret, struct err *err)
{
    static const char *const argv[] = {"/bin/sh", "/davit/lib/drive", NULL};
    _cleanup_(stage_release) struct stage s = {.c = c};
    _cleanup_(map_release) struct map env = {0};
    int status = 0, r = stage_make(&s, err);
    if (r < 0)
        return r;
    make_env(c, &env);
    const struct container_bind binds[] = {
        {s.dir, "/davit", true},
        {c->cache, "/cache", true},
        {"/etc/resolv.conf", "/etc/resolv.conf", false},
        {"/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/certs/ca-certificates.crt", false}};
    r = container_run(&(struct container){.config = c->config,
                                          .images = c->images,
                                          .name = c->id,
                                          .layers = c->layers,
                                          .upper = s.upper,
                                          .binds = binds,
                                          .n_binds = ARRAY_LEN(binds),
                                          .argv = argv,
                                          .env = &env,
                                          .timeout_s = c->config->build_timeout,
                                          .cancel = c->cancel},
                      c->out, &status, err);
    if (!r && status != 0)
        r = failure(&s, status, err);
    if (!r)
        r = read_results(&s, ret, err);
    return r ? r : seal(&s, &ret->diff_id, err);
}
