#include "git/repo.h"

#include <errno.h>
#include <ftw.h>

#include "base/log.h"
#include "base/time.h"
#include "os/file.h"
#include "os/spawn.h"

char *repo_path(const struct config *c, const char *app)
{
    return path_join(c->state, "git/%s.git", app);
}

int repo_make(const struct config *c, const char *app, struct err *err)
{
    _cleanup_free_ char *path = repo_path(c, app), *half = xasprintf("%s.new", path);
    if (path_exists(path))
        return 0;
    int r = dir_remove(half, err);
    if (r == 0)
        r = spawn_run((const char *const[]){"git", "init", "--quiet", "--bare", "--template=",
                                            "--initial-branch=main", "--", half, NULL},
                      (struct str){0}, NULL, err);
    if (r < 0)
        return err_wrap(err, "making the repository of %s", app);
    if (rename(half, path) < 0)
        return err_errno(err, "making the repository of %s", app);
    return 0;
}

int repo_remove(const struct config *c, const char *app, struct err *err)
{
    _cleanup_free_ char *path = repo_path(c, app);
    return dir_remove(path, err);
}

/* --- what a machine that went down left behind ------------------------------------------------ */

enum { OPEN_FOLDERS = 16, REPOSITORY_DEPTH = 1 };
static int64_t booted_s; /* for the walk; seconds since 1970 */

static bool is_lock(const char *name)
{
    size_t n = strlen(name);
    return n > strlen(".lock") && streq(name + n - strlen(".lock"), ".lock");
}

/* No ref may be called so (git-check-ref-format(1)). */
static int drop_lock(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    const char *name = path + at->base;
    if (kind == FTW_D && at->level == REPOSITORY_DEPTH + 1 && streq(name, "objects"))
        return FTW_SKIP_SUBTREE;
    if (kind == FTW_F && is_lock(name) && st->st_mtim.tv_sec < booted_s && unlink(path) == 0)
        log_warning("removed %s, which git had left when the machine went down", path);
    return FTW_CONTINUE;
}

void repos_unlock(const struct config *c)
{
    _cleanup_free_ char *all = path_join(c->state, "git");
    booted_s = time_wall_us() / 1000000 - time_mono_ms() / 1000;
    nftw(all, drop_lock, OPEN_FOLDERS, FTW_PHYS | FTW_ACTIONRETVAL);
}
