#include "builder/fetch.h"

#include <errno.h>
#include <fcntl.h>

#include "builder/container.h"
#include "builder/tree.h"
#include "os/file.h"
#include "os/spawn.h"

enum { FETCH_TIMEOUT = 300, URL_MAX = 2048 };

/* --- what it names --------------------------------------------------------------------------- */

static bool is_plain_http(struct str url) { return str_starts(url, STR("http://")); }

/* Whether the host of "http://HOST:PORT/…" is a word of build_services. */
static bool is_service(const struct config *c, struct str url)
{
    struct str rest = {url.ptr + strlen("http://"), url.len - strlen("http://")};
    struct str host = str_cut(&rest, '/'), words = str_of(c->build_services);
    while (host.len && words.ptr)
        if (str_eq(str_cut(&words, ' '), host))
            return true;
    return false;
}

static bool has_scheme(const struct config *c, struct str url)
{
    return str_starts(url, STR("https://")) || (is_plain_http(url) && is_service(c, url));
}

/* git takes what begins with '-' as an option, and "ext::" as a command. */
static bool is_plain(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] <= ' ' || s.ptr[i] == 127)
            return false;
    return s.len && s.len <= URL_MAX && s.ptr[0] != '-';
}

/* "heroku/ruby": a name in a registry that Davit does not have. */
static bool is_short_name(struct str name)
{
    static const char *const stems[] = {"heroku/", "heroku-community/", "davit/"};
    for (size_t i = 0; i < ARRAY_LEN(stems); i++)
        if (str_starts(name, str_of(stems[i])))
            return true;
    return false;
}

static int no_url(const char *name, struct str url, struct err *err)
{
    if (is_short_name(url)) {
        err_set(err, ERR_UNPROCESSABLE, "buildpack '%.100s' can't be had here", name);
        return err_hint(err, "Davit has its own for nodejs, python, go, c and static (davit/NAME; "
                             "heroku/NAME is the same). For others use a Dockerfile, or give the "
                             "URL of a buildpack that doesn't ask for one of Heroku's stacks.");
    }
    err_set(err, ERR_UNPROCESSABLE, "buildpack '%.100s' is no URL to fetch from", name);
    return err_hint(err, "Give an https:// URL of a git repository or tarball, with "
                         "#ref behind it for a branch, tag or commit; or davit/NAME for one of "
                         "Davit's own.");
}

int buildpack_url(const struct config *c, const char *name, char **ret_url, char **ret_ref,
                  struct err *err)
{
    struct str ref = str_of(name), url = str_cut(&ref, '#');
    if (!ref.ptr || !ref.len)
        ref = STR("HEAD");
    if (!is_plain(url) || !is_plain(ref) || !has_scheme(c, url))
        return no_url(name, url, err);
    *ret_url = xstrndup(url.ptr, url.len);
    *ret_ref = xstrndup(ref.ptr, ref.len);
    return 0;
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && streq(s + n - m, end);
}

static bool is_tarball(const char *url)
{
    return ends_with(url, ".tgz") || ends_with(url, ".tar.gz") || ends_with(url, ".tar.xz");
}

/* --- git ------------------------------------------------------------------------------------- */

struct fetch {
    const struct config *config;
    const struct cancel *cancel;
    struct output *out;
    const char *dir;
    bool plain; /* http will do */
};

static uid_t fetcher(const struct config *c) { return (uid_t)c->uid_base + APP_UID; }

static void add_variables(const struct fetch *f, struct strv *ret)
{
    _cleanup_(map_release) struct map vars = {0};
    container_network_env(&vars);
    map_set(&vars, "PATH", "/usr/local/bin:/usr/bin:/bin");
    map_set(&vars, "HOME", "/nonexistent");
    map_set(&vars, "GIT_CONFIG_NOSYSTEM", "1");
    map_set(&vars, "GIT_TERMINAL_PROMPT", "0");
    map_set(&vars, "GIT_ALLOW_PROTOCOL", f->plain ? "https:http" : "https");
    map_set(&vars, "GIT_CONFIG_GLOBAL", "/dev/null");
    for (size_t i = 0; i < vars.n; i++)
        strv_addf(ret, "%s=%s", vars.items[i].name, vars.items[i].value);
}

/* As the owner of the app's files, who is nobody on this machine. */
static int run(const struct fetch *f, struct strv *argv, const char *what, struct err *err)
{
    _cleanup_(strv_release) struct strv env = {0};
    int status = 0;
    add_variables(f, &env);
    int r = cage_run(&(struct cage){.argv = (const char *const *)strv_argv(argv),
                                    .env = (const char *const *)strv_argv(&env),
                                    .out_owner = fetcher(f->config),
                                    .timeout_s = FETCH_TIMEOUT,
                                    .cancel = f->cancel},
                     f->out, &status, err);
    if (r == 0 && status != 0)
        return err_set(err, ERR_UNPROCESSABLE, "%s ended with status %d", what, status);
    return r;
}

static int git(const struct fetch *f, const char *const *words, struct err *err)
{
    _cleanup_(strv_release) struct strv argv = {0};
    _cleanup_free_ char *what = xasprintf("git %s", words[0]);
    spawn_as(fetcher(f->config), &argv);
    strv_add(&argv, "git");
    strv_add(&argv, "-C");
    strv_add(&argv, f->dir);
    for (size_t i = 0; words[i]; i++)
        strv_add(&argv, words[i]);
    return run(f, &argv, what, err);
}

static int fetch_git(const struct fetch *f, const char *url, const char *ref, struct err *err)
{
    _cleanup_free_ char *inner = path_join(f->dir, ".git/HEAD");
    const char *const init[] = {"init", "-q", NULL};
    const char *const get[] = {"fetch", "-q", "--depth=1", "--no-tags", "--", url, ref, NULL};
    const char *const checkout[] = {"checkout", "-q", "-f", "--detach", "FETCH_HEAD", NULL};
    bool before = path_exists(inner);
    int r = before ? 0 : git(f, init, err);
    if (!r)
        r = git(f, get, err);
    if (r == 0)
        return git(f, checkout, err);
    if (r == -ERR_CANCELLED || !before)
        return r;
    output_warning(f->out, "%s can't be reached; the one fetched before is used", url);
    return 0;
}

/* --- tarballs -------------------------------------------------------------------------------- */

void fetch_curl(const struct config *c, const char *protocols, struct strv *ret)
{
    spawn_as(fetcher(c), ret);
    strv_add(ret, "curl");
    strv_add(ret, "-qfsSL");
    strv_add(ret, "--proto");
    strv_add(ret, protocols);
}

int fetch_target(const struct config *c, const char *path, struct err *err)
{
    if (unlink(path) < 0 && errno != ENOENT)
        return err_errno(err, "removing %s", path);
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || fchown(fd, fetcher(c), fetcher(c)) < 0)
        return err_errno(err, "making %s", path);
    return 0;
}

static int fetch_tarball(const struct fetch *f, struct image_store *images, const char *url,
                         struct err *err)
{
    _cleanup_free_ char *tar = xasprintf("%s.tar", f->dir);
    _cleanup_(strv_release) struct strv argv = {0};
    fetch_curl(f->config, f->plain ? "=https,http" : "=https", &argv);
    strv_add(&argv, "-o");
    strv_add(&argv, tar);
    strv_add(&argv, "--");
    strv_add(&argv, url);
    int r = fetch_target(f->config, tar, err);
    if (!r)
        r = run(f, &argv, "curl", err);
    if (!r)
        r = dir_remove(f->dir, err);
    if (!r)
        r = dir_make(f->dir, 0755, err);
    _cleanup_close_ int fd = r ? -1 : open(tar, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (!r && fd < 0)
        r = err_errno(err, "opening %s", tar);
    const struct unpack_limits limits = {.bytes = 1 << 30, .entries = 100000, .owner = APP_UID};
    if (!r)
        r = image_unpack(images, fd, f->dir, false, NULL, &limits, err);
    unlink(tar);
    return r;
}

/* --- both ------------------------------------------------------------------------------------ */

static int make_dir(const struct config *c, const char *dir, struct err *err)
{
    int r = dir_make(dir, 0755, err);
    if (!r && chown(dir, fetcher(c), fetcher(c)) < 0)
        r = err_errno(err, "making %s", dir);
    return r;
}

int fetch_buildpack(const struct config *c, struct image_store *images, const char *dir,
                    const char *name, const struct cancel *cancel, struct output *out, char **ret,
                    struct err *err)
{
    char hash[HASH_LEN + 1];
    _cleanup_free_ char *url = NULL, *ref = NULL;
    text_hash(str_of(name), hash);
    _cleanup_free_ char *own = path_join(dir, "%.16s", hash);
    struct fetch f = {.config = c, .cancel = cancel, .out = out, .dir = own};
    int r = buildpack_url(c, name, &url, &ref, err);
    if (r < 0)
        return r;
    f.plain = is_plain_http(str_of(url));
    output_step(out, "Fetching buildpack %s", name);
    r = make_dir(c, own, err);
    if (!r)
        r = is_tarball(url) ? fetch_tarball(&f, images, url, err) : fetch_git(&f, url, ref, err);
    if (r < 0)
        return r == -ERR_CANCELLED ? r : err_wrap(err, "fetching buildpack %s", name);
    if (!tree_has_file(own, "bin/compile"))
        return err_set(err, ERR_UNPROCESSABLE, "buildpack %s has no bin/compile", name);
    *ret = TAKE_PTR(own);
    return 0;
}
