#include "builder/stack_fill.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "builder/registry.h"
#include "builder/tree.h"
#include "os/file.h"
#include "os/spawn.h"

enum { UPDATES_MAX = 64 * 1024 };

static void add_words(const char *words, struct strv *ret)
{
    struct str rest = str_of(words);
    while (rest.ptr) {
        struct str word = str_cut(&rest, ' ');
        strv_take(ret, xstrndup(word.ptr, word.len));
    }
}

/* debian_mirror ends in "/debian"; its security archive is its neighbour. */
static void add_sources(const struct config *c, const char *suite, struct strv *ret)
{
    strv_addf(ret, "deb %s %s main", c->debian_mirror, suite);
    strv_addf(ret, "deb %s %s-updates main", c->debian_mirror, suite);
    struct str mirror = str_of(c->debian_mirror);
    if (mirror.len > 7 && streq(mirror.ptr + mirror.len - 7, "/debian"))
        strv_addf(ret, "deb %s-security %s-security main", c->debian_mirror, suite);
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
    strv_add(ret, recipe_suite(s->config, r));
    strv_add(ret, tar);
    add_sources(s->config, recipe_suite(s->config, r), ret);
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

static int check_status(const char *program, int status, const char *log, const char *from,
                        struct err *err)
{
    if (status == 0)
        return 0;
    err_set(err, ERR_UNAVAILABLE, "%s ended with status %d", program, status);
    return err_hint(err, "See the end of %s, and whether %s can be reached.", log, from);
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

/* Runs apt on `layers` in a container whose lists and packages are the cache's. */
static int apt(const struct stacks *s, const struct recipe *r, const char *const *argv,
               const char *ask, const struct strv *layers, const char *upper, struct output *log,
               int *ret_status, struct err *err)
{
    /* apt forgets the lists of suites that it doesn't ask */
    _cleanup_free_ char *lists =
        path_join(s->config->cache, "build/apt/lists.%s", recipe_suite(s->config, r));
    _cleanup_free_ char *archives = path_join(s->config->cache, "build/apt/cache");
    _cleanup_free_ char *backports =
        r->backports ? xasprintf("%s-backports", recipe_suite(s->config, r)) : NULL;
    _cleanup_(map_release) struct map env = {0};
    map_set(&env, "PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    map_set(&env, "DEBIAN_FRONTEND", "noninteractive");
    map_set(&env, "LC_ALL", "C.UTF-8");
    map_set(&env, "MIRROR", s->config->debian_mirror);
    map_set(&env, "BACKPORTS", backports ? backports : "");
    map_set(&env, "ASK", ask);
    container_network_env(&env);
    const struct bundle_mount binds[] = {{"/etc/resolv.conf", "/etc/resolv.conf", false},
                                         {lists, "/var/lib/apt/lists", true},
                                         {archives, "/var/cache/apt", true}};
    return container_run(&(struct container){.config = s->config,
                                             .images = s->images,
                                             .name = r->name,
                                             .layers = layers,
                                             .upper = upper,
                                             .binds = binds,
                                             .n_binds = ARRAY_LEN(binds),
                                             .argv = argv,
                                             .env = &env,
                                             .user = CONTAINER_ROOT,
                                             .timeout_s = s->config->build_timeout,
                                             .cancel = s->cancel},
                         log, ret_status, err);
}

static int install(const struct stacks *s, const struct recipe *r, const struct strv *parent,
                   const char *upper, struct output *log, int *ret_status, struct err *err)
{
    _cleanup_(strv_release) struct strv argv = {0};
    strv_add(&argv, "/bin/sh");
    strv_add(&argv, "-c");
    strv_add(&argv, install_script);
    strv_add(&argv, "install");
    add_words(r->packages, &argv);
    return apt(s, r, (const char *const *)strv_argv(&argv), "", parent, upper, log, ret_status,
               err);
}

/* --- from the Python package index ------------------------------------------------------------ */

/* A program in an environment of its own, by Debian's pip; its packages are wheels. */
static const char pypi_script[] =
    "set -eu\n"
    "export PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1\n"
    "name=$1 home=/usr/local/lib/$1\n"
    "shift\n"
    "python3 -m venv --without-pip \"$home\"\n"
    "\"$home/bin/python3\" \"$(echo /usr/share/python-wheels/pip-*.whl)/pip\" install --compile "
    "\\\n"
    "    --only-binary :all: --progress-bar off \"$@\"\n"
    "mkdir -p /usr/local/bin\n"
    "ln -s \"../lib/$name/bin/$name\" \"/usr/local/bin/$name\"\n"
    "rm -rf /tmp/*\n";

static int install_pypi(const struct stacks *s, const struct recipe *r, const struct strv *parent,
                        const char *upper, struct output *log, int *ret_status, struct err *err)
{
    static const char certificates[] = "/etc/ssl/certs/ca-certificates.crt";
    _cleanup_free_ char *name = xstrndup(r->pypi, strcspn(r->pypi, "<>=~!"));
    const char *const words[] = {"/bin/sh", "-c", pypi_script, "install", name};
    _cleanup_(strv_release) struct strv argv = {0};
    const struct bundle_mount binds[] = {{"/etc/resolv.conf", "/etc/resolv.conf", false},
                                         {certificates, certificates, false}};
    _cleanup_(map_release) struct map env = {0};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        strv_add(&argv, words[i]);
    add_words(r->pypi, &argv);
    map_set(&env, "PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    map_set(&env, "LC_ALL", "C.UTF-8");
    map_set(&env, "HOME", "/tmp");
    container_network_env(&env);
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

/* --- from the npm registry -------------------------------------------------------------------- */

/* The programs of package managers, relative to the package: "name path name path …". */
static const struct {
    const char *package, *links[4];
} managers[] = {{"npm", {"npm", "bin/npm-cli.js", "npx", "bin/npx-cli.js"}},
                {"pnpm", {"pnpm", "bin/pnpm.cjs"}},
                {"yarn", {"yarn", "bin/yarn.js"}},
                {"@yarnpkg/cli-dist", {"yarn", "bin/yarn.js"}}};

static int place_link(const char *dir, const char *folder, const char *name, const char *target,
                      struct err *err)
{
    _cleanup_free_ char *link = path_join(dir, "usr/local/bin/%s", name);
    _cleanup_free_ char *to = xasprintf("../lib/node_modules/%s/%s", folder, target);
    _cleanup_free_ char *program =
        path_join(dir, "usr/local/lib/node_modules/%s/%s", folder, target);
    if (chmod(program, 0755) < 0 || symlink(to, link) < 0)
        return err_errno(err, "placing %s", name);
    return 0;
}

static int place_manager(const char *dir, size_t i, struct err *err)
{
    const char *slash = strrchr(managers[i].package, '/');
    const char *folder = slash ? slash + 1 : managers[i].package;
    _cleanup_free_ char *from = path_join(dir, "package");
    _cleanup_free_ char *to = path_join(dir, "usr/local/lib/node_modules/%s", folder);
    int r = rename(from, to) < 0 ? err_errno(err, "placing %s", folder) : 0;
    for (size_t k = 0; !r && k < ARRAY_LEN(managers[i].links) && managers[i].links[k]; k += 2)
        r = place_link(dir, folder, managers[i].links[k], managers[i].links[k + 1], err);
    return r;
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

static int place(const struct recipe *r, const char *dir, struct err *err)
{
    size_t len = (size_t)(strrchr(r->npm, '@') - r->npm);
    for (size_t i = 0; i < ARRAY_LEN(managers); i++)
        if (str_eq((struct str){r->npm, len}, str_of(managers[i].package)))
            return place_manager(dir, i, err);
    return place_node(dir, err);
}

/* Most have all in a folder "package", but any name will do. */
static int call_it_package(const char *dir, struct err *err)
{
    _cleanup_(strv_release) struct strv names = {0};
    _cleanup_free_ char *to = path_join(dir, "package");
    int r = tree_names(dir, &names, err);
    if (r < 0)
        return r;
    if (names.n != 1)
        return err_set(err, ERR_INVALID, "the package is not one folder");
    _cleanup_free_ char *from = path_join(dir, "%s", names.items[0]);
    return rename(from, to) < 0 ? err_errno(err, "renaming %s", from) : 0;
}

static int fetch(const struct stacks *s, const struct recipe *r, const char *dir, const char *tar,
                 struct err *err)
{
    _cleanup_(registry_package_release) struct registry_package p = {0};
    const char *at = strrchr(r->npm, '@'); /* a name may begin with one */
    _cleanup_free_ char *package = xstrndup(r->npm, (size_t)(at - r->npm));
    int e = registry_find(s->config, package, at + 1, &p, err);
    if (!e)
        e = registry_download(s->config, &p, tar, err);
    if (!e)
        e = unpack_file(s, tar, dir, err);
    return e ? e : call_it_package(dir, err);
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
        e = place(r, dir, err);
    if (!e)
        e = spawn_run(chown, (struct str){0}, NULL, err);
    unlink(tar);
    return e;
}

int stack_fill(const struct stacks *s, const struct recipe *r, const struct strv *parent,
               const char *dir, struct err *err)
{
    if (r->npm)
        return download(s, r, dir, err);
    _cleanup_(output_close) struct output log = {.fd = -1};
    _cleanup_free_ char *path = NULL;
    int status = 0;
    int e = open_log(s->config, &log, &path, err);
    if (!e && r->pypi)
        e = install_pypi(s, r, parent, dir, &log, &status, err);
    else if (!e)
        e = r->parent ? install(s, r, parent, dir, &log, &status, err)
                      : bootstrap(s, r, dir, &log, &status, err);
    if (!e && r->pypi)
        return check_status("pip", status, path, "pypi.org", err);
    return e ? e
             : check_status(r->parent ? "apt-get" : "mmdebstrap", status, path,
                            s->config->debian_mirror, err);
}

/* What a newer version would be installed of lies in the file /updates. */
static const char look_script[] =
    "set -eu\n"
    "update() { apt-get -q -o APT::Update::Error-Mode=any update; }\n"
    "list=/etc/apt/sources.list.d/backports.list\n"
    "[ -z \"$BACKPORTS\" ] || echo \"deb $MIRROR $BACKPORTS main\" >$list\n"
    "if [ -n \"$ASK\" ] && ! update; then\n"
    "    [ -n \"$BACKPORTS\" ] || exit 100\n"
    "    rm $list\n"
    "    update\n"
    "fi\n"
    "[ -z \"$ASK\" ] || touch /var/lib/apt/lists/updated\n"
    "plan=$(apt-get -qq -s dist-upgrade)\n"
    "printf '%s\\n' \"$plan\" | sed -n 's/^Inst \\([^ ]*\\).*/\\1/p' >/updates\n";

static int read_updates(const char *upper, struct strv *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_CAP(UPDATES_MAX);
    int r = tree_read(upper, "updates", &text, err);
    struct str rest = buf_str(&text);
    while (!r && rest.ptr) {
        struct str line = str_cut(&rest, '\n');
        if (line.len)
            strv_take(ret, xstrndup(line.ptr, line.len));
    }
    return r;
}

int stack_updates(const struct stacks *s, const struct recipe *r, const struct strv *layers,
                  bool ask, struct strv *ret, struct err *err)
{
    const char *const argv[] = {"/bin/sh", "-c", look_script, "look", NULL};
    _cleanup_(output_close) struct output log = {.fd = -1};
    _cleanup_free_ char *path = NULL, *upper = NULL;
    int status = 0, e = open_log(s->config, &log, &path, err);
    if (!e)
        e = image_tmp_dir(s->images, &upper, err);
    if (!e)
        e = apt(s, r, argv, ask ? "1" : "", layers, upper, &log, &status, err);
    if (!e)
        e = check_status("apt-get", status, path, s->config->debian_mirror, err);
    if (!e)
        e = read_updates(upper, ret, err);
    if (upper)
        dir_remove(upper, NULL);
    return e;
}
