#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/time.h"
#include "daemon/daemon.h"

/* POSIX locks: they vanish with the process, whatever ends it, and the kernel names the holder. */
static struct flock whole(short type) { return (struct flock){.l_type = type}; }

pid_t root_holder(const struct config *c, const char *name)
{
    _cleanup_free_ char *path = path_join(c->run, "%s.lock", name);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct flock l = whole(F_WRLCK);
    if (fd < 0 || fcntl(fd, F_GETLK, &l) < 0 || l.l_type == F_UNLCK)
        return 0;
    return l.l_pid;
}

static void alarm_rang(int sig) { (void)sig; }

/* F_SETLKW that gives up: the alarm goes on ringing, so that one rung before the wait began is no
 * loss. */
static int lock_within(int fd, int64_t wait_ms)
{
    struct sigaction wake = {.sa_handler = alarm_rang}, old;
    sigaction(SIGALRM, &wake, &old);
    struct itimerval every = {{0, 50000}, {0, 50000}};
    setitimer(ITIMER_REAL, &every, NULL);
    int64_t until = time_mono_ms() + wait_ms;
    struct flock l = whole(F_WRLCK);
    int r;
    while ((r = fcntl(fd, F_SETLKW, &l)) < 0 && errno == EINTR && time_mono_ms() < until)
        ;
    int e = errno;
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    sigaction(SIGALRM, &old, NULL);
    errno = e;
    return r;
}

int root_lock(const struct config *c, const char *name, int64_t wait_ms, struct err *err)
{
    _cleanup_free_ char *path = path_join(c->run, "%s.lock", name);
    _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return err_errno(err, "%s", path);
    struct flock l = whole(F_WRLCK);
    if (fcntl(fd, F_SETLK, &l) < 0 && (!wait_ms || lock_within(fd, wait_ms) < 0)) {
        err_set(err, ERR_EXISTS, "%s already runs for %s as process %d", name,
                *c->root ? c->root : "this machine", (int)root_holder(c, name));
        return err_hint(err, "stop it first (kill %d), or use another --root",
                        (int)root_holder(c, name));
    }
    if (ftruncate(fd, 0) < 0 || dprintf(fd, "%d\n", (int)getpid()) < 0)
        return err_errno(err, "%s", path); /* the number is for people and scripts */
    TAKE_FD(fd);                           /* held until the process ends */
    return 0;
}
