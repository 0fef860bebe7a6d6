#include "run/shims.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/pidfd.h>

#include "model/config.h"

/* Whom the lock file names, if the lock is held. */
static pid_t lock_holder(const char *run_dir)
{
    _cleanup_free_ char *path = path_join(run_dir, "lock");
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    char text[16] = {0};
    uint64_t pid;
    if (fd < 0 || flock(fd, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK ||
        read(fd, text, sizeof(text) - 1) <= 0 ||
        str_to_u64(str_trim(str_of(text)), 1, INT32_MAX, &pid, NULL) < 0)
        return 0;
    return (pid_t)pid;
}

/* The lock is looked at again after the pidfd was opened: the pid can't have passed to another. */
pid_t shim_find(const char *run_dir, int *ret_pidfd)
{
    pid_t pid = lock_holder(run_dir);
    _cleanup_close_ int pidfd = pid ? pidfd_open(pid, 0) : -1;
    if (pidfd < 0 || lock_holder(run_dir) != pid)
        return 0;
    *ret_pidfd = TAKE_FD(pidfd);
    return pid;
}
