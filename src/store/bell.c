#include "store/bell.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "base/mem.h"

/* Appears with its group and mode already set: another user's process may be opening it now. */
static int make_shared(const char *path, const char *dir, gid_t group)
{
    _cleanup_close_ int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    char self[32];
    if (fd < 0)
        return -1;
    /* Who may not give it to that group is not in it, and shares the folder with nobody. */
    if (fchown(fd, (uid_t)-1, group) < 0 && errno != EPERM)
        return -1;
    snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
    if (fchmod(fd, 0660) < 0 || /* whatever the umask is */
        linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) < 0)
        return -1;
    return TAKE_FD(fd);
}

int shared_file_open(const char *path, struct err *err)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT) {
        const char *slash = strrchr(path, '/');
        _cleanup_free_ char *dir =
            slash ? xstrndup(path, (size_t)(slash - path) + 1) : xstrdup(".");
        struct stat st;
        fd = stat(dir, &st) < 0 ? -1 : make_shared(path, dir, st.st_gid);
        if (fd < 0 && errno == EEXIST) /* somebody was quicker */
            fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    }
    return fd >= 0 ? fd : err_errno(err, "opening %s", path);
}

int bell_init(struct bell *b, const char *db_path, struct err *err)
{
    _cleanup_free_ char *path = xasprintf("%s-bell", db_path);
    int fd = shared_file_open(path, err);
    if (fd < 0)
        return fd;
    close(fd);
    *b = (struct bell){.path = TAKE_PTR(path), .ear = -1};
    return 0;
}

void bell_release(struct bell *b)
{
    closep(&b->ear);
    free(b->path);
    *b = (struct bell){.ear = -1};
}

int bell_take(const struct bell *b, int *ret_rope, struct err *err)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    _cleanup_close_ int fd = open(b->path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_errno(err, "opening %s", b->path);
    while (fcntl(fd, F_OFD_SETLKW, &lock) < 0)
        if (errno != EINTR)
            return err_errno(err, "locking %s", b->path);
    *ret_rope = TAKE_FD(fd);
    return 0;
}

void bell_ring(int *rope)
{
    if (*rope < 0)
        return;
    /* A child that another thread is just starting may still hold a copy of the descriptor. */
    struct flock unlock = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    fcntl(*rope, F_OFD_SETLK, &unlock);
    close(*rope);
    *rope = -1;
}

int bell_listen(struct bell *b, struct err *err)
{
    if (b->ear >= 0)
        return 0;
    _cleanup_close_ int ear = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (ear < 0) {
        err_errno(err, "listening to %s", b->path);
        return err_hint(err, "raise fs.inotify.max_user_instances");
    }
    if (inotify_add_watch(ear, b->path, IN_CLOSE_WRITE) < 0)
        return err_errno(err, "listening to %s", b->path);
    b->ear = TAKE_FD(ear);
    return 0;
}

bool bell_heard(const struct bell *b)
{
    char events[16 * (sizeof(struct inotify_event) + NAME_MAX + 1)];
    bool heard = false;
    /* Equal events are merged by the kernel: one read nearly always empties the queue. */
    while (read(b->ear, events, sizeof(events)) > 0)
        heard = true;
    return heard;
}
