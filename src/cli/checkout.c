#include "cli/checkout.h"

#include "os/spawn.h"
#include "wire/url.h"

enum { GIT_OUTPUT_MAX = 64 << 10 };

static char *git_line(const char *const *argv)
{
    _cleanup_(buf_release) struct buf out = BUF_CAP(GIT_OUTPUT_MAX);
    if (spawn_run(argv, (struct str){0}, &out, NULL) < 0)
        return NULL;
    struct str line = str_trim(buf_str(&out));
    return line.len ? xstrndup(line.ptr, line.len) : NULL;
}

char *checkout_remote(void)
{
    return git_line((const char *const[]){"git", "config", "--get", "remote.davit.url", NULL});
}

char *checkout_app(const char *remote)
{
    struct url u;
    if (url_split(remote, &u, NULL) < 0)
        return NULL;
    const char *slash = memrchr(u.path.ptr ? u.path.ptr : "", '/', u.path.len);
    struct str name =
        slash ? (struct str){slash + 1, u.path.len - (size_t)(slash + 1 - u.path.ptr)} : u.path;
    if (name.len > 4 && !memcmp(name.ptr + name.len - 4, ".git", 4))
        name.len -= 4;
    return name.len ? xstrndup(name.ptr, name.len) : NULL;
}

bool checkout_is_one(const char *dir)
{
    _cleanup_free_ char *top =
        git_line((const char *const[]){"git", "-C", dir, "rev-parse", "--git-dir", NULL});
    return top;
}

char *checkout_clean_commit(const char *dir)
{
    _cleanup_(buf_release) struct buf changes = BUF_CAP(GIT_OUTPUT_MAX);
    const char *const status[] = {"git", "-C", dir, "status", "--porcelain", NULL};
    if (spawn_run(status, (struct str){0}, &changes, NULL) < 0 || changes.len)
        return NULL;
    return git_line((const char *const[]){"git", "-C", dir, "rev-parse", "HEAD", NULL});
}

int checkout_set_remote(const char *url, const char *helper, const char *gitconfig, struct err *err)
{
    struct url u;
    int r = url_split(url, &u, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *key = xasprintf("credential.%.*s://%.*s.helper", (int)u.scheme.len,
                                         u.scheme.ptr, (int)u.host.len, u.host.ptr);
    _cleanup_free_ char *old = checkout_remote();
    const char *const remote[] = {"git", "remote", old ? "set-url" : "add", "davit", url, NULL};
    const char *const credential[] = {"git", "config", "--replace-all", key, helper, NULL};
    const char *const include[] = {"git",          "config",  "--fixed-value", "--replace-all",
                                   "include.path", gitconfig, gitconfig,       NULL};
    if ((r = spawn_run(remote, (struct str){0}, NULL, err)) < 0 ||
        (r = spawn_run(credential, (struct str){0}, NULL, err)) < 0)
        return r;
    return spawn_run(include, (struct str){0}, NULL, err);
}
