#include "store/bell.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "base/mem.h"

static gid_t group_of_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    _cleanup_free_ char *dir = slash ? xstrndup(path, (size_t)(slash - path) + 1) : xstrdup(".");
    struct stat st;
    return stat(dir, &st) < 0 ? (gid_t)-1 : st.st_gid;
}

int shared_file_open(const char *path, struct err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0660);
    if (fd >= 0) {
        /* Who may not give it to that group is not in it, and shares the folder with nobody. */
        if (fchown(fd, (uid_t)-1, group_of_folder(path)) < 0 && errno != EPERM)
            goto fail;
        if (fchmod(fd, 0660) < 0) /* whatever the umask is */
            goto fail;
        return fd;
    }
    if (errno == EEXIST)
        fd = open(path, O_RDWR | O_CLOEXEC);
    return fd >= 0 ? fd : err_errno(err, "opening %s", path);
fail:
    err_errno(err, "sharing %s with its group", path);
    unlink(path);
    close(fd);
    return -(int)ERR_IO;
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
    _cleanup_close_ int fd = open(b->path, O_WRONLY | O_CLOEXEC);
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
