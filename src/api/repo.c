#include "api/repo.h"

#include <errno.h>

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
