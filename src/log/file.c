#include "log/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>

#include "os/below.h"
#include "os/file.h"

void log_file_init(struct log_file *f, const char *path, bool shared, int64_t max, int64_t files)
{
    *f = (struct log_file){
        .path = path, .shared = shared, .max = max, .files = files, .dir = -1, .fd = -1};
}

void log_file_release(struct log_file *f)
{
    closep(&f->dir);
    closep(&f->fd);
    f->dir = f->fd = -1;
}

/* The same file still, or was it renamed or removed? */
static bool is_current(const struct log_file *f, const struct stat *st)
{
    return f->fd >= 0 && st->st_ino == f->opened.st_ino && st->st_dev == f->opened.st_dev;
}

static const char *name_of(const struct log_file *f) { return strrchr(f->path, '/') + 1; }

static int open_folder(const struct log_file *f)
{
    const size_t n = (size_t)(name_of(f) - f->path);
    _cleanup_free_ char *dir = xstrndup(f->path, n > 1 ? n - 1 : 1);
    char *slash = strrchr(dir, '/');
    if (!f->shared || slash == dir)
        return open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (f->shared ? O_NOFOLLOW : 0));
    *slash = '\0';
    dir_make(dir, 0755, NULL);
    _cleanup_close_ int above = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return above < 0 ? -1 : below_folder(above, slash + 1, 0775);
}

static bool reopen(struct log_file *f)
{
    log_file_release(f);
    f->dir = open_folder(f);
    if (f->dir >= 0)
        f->fd = below_open(f->dir, name_of(f), O_WRONLY | O_APPEND | O_CREAT, 0640);
    return f->fd >= 0 && fstat(f->fd, &f->opened) == 0;
}

/* Whoever holds the lock of the current file rotates it; who comes second finds that it has another
 * name by now. */
static bool rotate(struct log_file *f)
{
    struct stat st;
    while (flock(f->fd, LOCK_EX) < 0 && errno == EINTR)
        ;
    const char *name = name_of(f);
    if (fstatat(f->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && is_current(f, &st)) {
        for (int64_t i = f->files - 1; i > 0; i--) {
            _cleanup_free_ char *from =
                i > 1 ? xasprintf("%s.%lld", name, (long long)i - 1) : xstrdup(name);
            _cleanup_free_ char *to = xasprintf("%s.%lld", name, (long long)i);
            if (renameat(f->dir, from, f->dir, to) < 0 && i == 1)
                return true; /* better too large than lost */
        }
        if (f->files == 1 && ftruncate(f->fd, 0) < 0)
            return true;
    }
    return reopen(f); /* closes the old one and so ends the lock */
}

bool log_file_prepare(struct log_file *f, size_t n)
{
    struct stat st;
    if ((stat(f->path, &st) < 0 || !is_current(f, &st)) && (!reopen(f) || fstat(f->fd, &st) < 0))
        return false;
    if (st.st_size == 0 || f->torn || st.st_size + (int64_t)n <= f->max)
        return true;
    return rotate(f);
}

size_t log_file_add(struct log_file *f, const void *data, size_t n)
{
    const char *bytes = data;
    size_t done = 0;
    while (done < n) {
        ssize_t w = write(f->fd, bytes + done, n - done);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0) {
            errno = w < 0 ? errno : ENOSPC;
            break;
        }
        done += (size_t)w;
    }
    if (done)
        f->torn = bytes[done - 1] != '\n';
    return done;
}

int log_file_write(struct log_file *f, const void *data, size_t n, struct err *err)
{
    if (!log_file_prepare(f, n) || log_file_add(f, data, n) < n)
        return err_errno(err, "writing %s", f->path);
    return 0;
}
