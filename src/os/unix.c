#include "os/unix.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/str.h"

/* Fills *ret; *ret_dir is a descriptor the address depends on, or -1. */
static int address(const char *path, struct sockaddr_un *ret, int *ret_dir, struct err *err)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    *ret_dir = -1;
    int n = snprintf(ret->sun_path, sizeof(ret->sun_path), "%s", path);
    if (n >= 0 && (size_t)n < sizeof(ret->sun_path))
        return 0;
    const char *slash = strrchr(path, '/');
    _cleanup_free_ char *dir = slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup(".");
    const char *name = slash ? slash + 1 : path;
    _cleanup_close_ int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, "%s", dir);
    n = snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/%s", fd, name);
    if (n < 0 || (size_t)n >= sizeof(ret->sun_path))
        return err_set(err, ERR_INVALID, "%s: the name is too long for a socket", name);
    *ret_dir = TAKE_FD(fd);
    return 0;
}

int unix_listen(const char *path, mode_t mode, struct err *err)
{
    struct sockaddr_un a;
    _cleanup_close_ int dir = -1;
    int r = address(path, &a, &dir, err);
    if (r < 0)
        return r;
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || (unlink(path) < 0 && errno != ENOENT))
        return err_errno(err, "%s", path);
    /* Nobody can connect before listen(), so that the mode is right from the first moment on. */
    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || chmod(path, mode) < 0 ||
        listen(fd, SOMAXCONN) < 0)
        return err_errno(err, "listening on %s", path);
    return TAKE_FD(fd);
}

int unix_connect(const char *path, struct err *err)
{
    struct sockaddr_un a;
    _cleanup_close_ int dir = -1;
    int r = address(path, &a, &dir, err);
    if (r < 0)
        return r;
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
        return err_errno(err, "connecting to %s", path);
    return TAKE_FD(fd);
}
