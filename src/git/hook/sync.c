#include "git/hook/sync.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#include "base/str.h"
#include "os/spawn.h"

static int sync_file(const char *path, struct err *err)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 || fsync(fd) < 0 ? err_errno(err, "%s", path) : 0;
}

int sync_tree(const char *path, struct err *err)
{
    DIR *dir = opendir(path);
    const struct dirent *e;
    int r = dir ? 0 : err_errno(err, "%s", path);
    while (r == 0 && (e = readdir(dir))) {
        if (streq(e->d_name, ".") || streq(e->d_name, ".."))
            continue;
        _cleanup_free_ char *inner = xasprintf("%s/%s", path, e->d_name);
        r = e->d_type == DT_DIR ? sync_tree(inner, err) : sync_file(inner, err);
    }
    if (dir)
        closedir(dir);
    return r;
}

pid_t sync_tree_start(const char *path, struct err *err)
{
    pid_t pid = fork();
    if (pid < 0)
        return err_errno(err, "starting a process");
    if (pid == 0)
        _exit(sync_tree(path, NULL) < 0 ? 1 : 0);
    return pid;
}

int sync_tree_end(pid_t pid, struct err *err)
{
    return spawn_wait(pid) == 0
               ? 0
               : err_set(err, ERR_IO, "what was pushed could not be written to disk");
}
