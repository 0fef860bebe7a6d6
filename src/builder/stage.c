#include "builder/stage.h"

#include "builder/tree.h"
#include "os/file.h"
#include "os/spawn.h"

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

static int copy_packs(const char *dir, const struct list *packs, struct err *err)
{
    int r = dir_make(dir, 0755, err);
    for (size_t i = 0; !r && i < packs->n; i++) {
        _cleanup_free_ char *to = path_join(dir, "%03zu", i);
        r = copy_tree(list_at(packs, struct buildpack, i)->dir, to, err);
    }
    return r;
}

static int hand_over(const struct config *c, const char *dir, uid_t owner, struct err *err)
{
    long long uid = (long long)c->uid_base + owner;
    _cleanup_free_ char *text = xasprintf("%lld:%lld", uid, uid);
    const char *const argv[] = {"chown", "-RP", "--", text, dir, NULL};
    return spawn_run(argv, (struct str){0}, NULL, err);
}

int stage_make(const struct config *c, const char *id, const struct list *packs,
               const struct map *vars, const struct map *facts, uid_t owner, struct stage *ret,
               struct err *err)
{
    _cleanup_(stage_release) struct stage s = {path_join(c->run, "build/%s.stage", id)};
    _cleanup_free_ char *lib = path_join(s.dir, "lib"), *env = path_join(s.dir, "env"),
                        *out = path_join(s.dir, "out"), *to = path_join(s.dir, "buildpacks"),
                        *known = path_join(s.dir, "facts"),
                        *from = path_join(c->data, "buildpacks/lib");
    int r = dir_remove(s.dir, err);
    if (!r)
        r = dir_make(out, 0755, err);
    if (!r)
        r = copy_tree(from, lib, err);
    if (!r)
        r = copy_packs(to, packs, err);
    if (!r)
        r = write_vars(env, vars, err);
    if (!r && facts)
        r = write_vars(known, facts, err);
    if (!r)
        r = hand_over(c, s.dir, owner, err);
    if (!r)
        ret->dir = TAKE_PTR(s.dir);
    return r;
}

void stage_release(struct stage *s)
{
    if (s->dir)
        dir_remove(s->dir, NULL);
    free(s->dir);
    s->dir = NULL;
}

void stage_line(const struct stage *s, const char *path, char **ret)
{
    _cleanup_(buf_release) struct buf text = BUF_CAP(64 * 1024);
    if (tree_read(s->dir, path, &text, NULL) < 0)
        return;
    struct str rest = buf_str(&text), line = str_trim(str_cut(&rest, '\n'));
    free(*ret);
    *ret = xstrndup(line.len ? line.ptr : "", line.len);
}

static int failure(const struct stage *s, int status, struct err *err)
{
    _cleanup_free_ char *failed = NULL;
    stage_line(s, "out/failed", &failed);
    if (failed)
        return err_set(err, ERR_UNPROCESSABLE, "%s", failed);
    return err_set(err, ERR_INTERNAL, "the build's container ended with status %d", status);
}

int stage_run(const struct stage *s, const struct container *c, const char *cache,
              struct output *out, struct err *err)
{
    bool builder = c->user == CONTAINER_BUILDER;
    _cleanup_free_ char *out_dir = path_join(s->dir, "out");
    const struct bundle_mount ours[] = {
        {s->dir, "/davit", !builder},
        {cache, "/cache", true},
        {"/etc/resolv.conf", "/etc/resolv.conf", false},
        {"/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/certs/ca-certificates.crt", false},
        {out_dir, "/davit/out", true}};
    size_t n = ARRAY_LEN(ours) - !builder;
    struct container full = *c;
    _cleanup_free_ struct bundle_mount *binds = xcalloc(c->n_binds + n, sizeof(*binds));
    for (size_t i = 0; i < n; i++)
        binds[i] = ours[i];
    for (size_t i = 0; i < c->n_binds; i++)
        binds[n + i] = c->binds[i];
    full.binds = binds;
    full.n_binds = n + c->n_binds;
    full.timeout_s = c->config->build_timeout;
    container_network_env(c->env);
    int status = 0, r = container_run(&full, out, &status, err);
    return r || status == 0 ? r : failure(s, status, err);
}
