#include "os/below.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/str.h"

static int open_plain(int dir, const char *path, int flags, mode_t mode)
{
    struct open_how how = {.flags = (unsigned)(flags | O_NOFOLLOW | O_CLOEXEC),
                           .mode = flags & O_CREAT ? mode : 0,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
    return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

int below_open(int dir, const char *path, int flags, mode_t mode)
{
    struct stat st;
    _cleanup_close_ int fd = open_plain(dir, path, flags | O_NONBLOCK, mode);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -1;
    if (S_ISFIFO(st.st_mode) || (S_ISREG(st.st_mode) && st.st_nlink > 1)) {
        errno = EINVAL;
        return -1;
    }
    return TAKE_FD(fd);
}

int below_folder(int dir, const char *name, mode_t mode)
{
    enum { FLAGS = O_RDONLY | O_DIRECTORY };
    int fd = open_plain(dir, name, FLAGS, 0);
    if (fd >= 0 || errno != ENOENT || (mkdirat(dir, name, mode) < 0 && errno != EEXIST))
        return fd;
    return open_plain(dir, name, FLAGS, 0);
}
