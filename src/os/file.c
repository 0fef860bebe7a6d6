#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

int file_read(const char *path, struct buf *ret, struct err *err)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, "opening %s", path);
    char chunk[16384];
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, "reading %s", path);
        if (n == 0)
            return buf_check(ret, path, err);
        buf_add(ret, chunk, (size_t)n);
        if (ret->overflow)
            return buf_check(ret, path, err);
    }
}

int fd_write_all(int fd, const void *data, size_t n, struct err *err)
{
    const char *p = data;
    while (n) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return err_errno(err, "writing");
        p += done;
        n -= (size_t)done;
    }
    return 0;
}

int file_set(const char *path, const char *text, struct err *err)
{
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        return err_errno(err, "setting %s", path);
    return 0;
}

static int sync_parent(const char *path, struct err *err)
{
    const char *slash = strrchr(path, '/');
    _cleanup_free_ char *dir =
        slash ? xstrndup(path, slash == path ? 1 : (size_t)(slash - path)) : xstrdup(".");
    _cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        return err_errno(err, "syncing %s", dir);
    return 0;
}

static int replace(const char *path, struct str data, mode_t mode, bool durable, struct err *err)
{
    unsigned char id[6];
    char hex[2 * sizeof(id) + 1];
    random_bytes(id, sizeof(id));
    hex_encode(id, sizeof(id), hex);
    _cleanup_free_ char *tmp = xasprintf("%s.%s~", path, hex);
    _cleanup_close_ int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0)
        return err_errno(err, "creating %s", tmp);
    int r = fd_write_all(fd, data.ptr, data.len, err);
    if (r < 0)
        err_wrap(err, "%s", tmp);
    if (!r && fchmod(fd, mode) < 0)
        r = err_errno(err, "setting the mode of %s", tmp);
    if (!r && durable && fsync(fd) < 0)
        r = err_errno(err, "syncing %s", tmp);
    if (!r && rename(tmp, path) < 0)
        r = err_errno(err, "renaming %s to %s", tmp, path);
    if (r < 0) {
        unlink(tmp);
        return r;
    }
    return durable ? sync_parent(path, err) : 0;
}

int file_write_atomic(const char *path, struct str data, mode_t mode, struct err *err)
{
    return replace(path, data, mode, true, err);
}

int file_replace(const char *path, struct str data, mode_t mode, struct err *err)
{
    return replace(path, data, mode, false, err);
}

int dir_make(const char *path, mode_t mode, struct err *err)
{
    if (mkdir(path, mode) == 0)
        return 0;
    if (errno == EEXIST) {
        struct stat st;
        if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
            return 0;
        errno = ENOTDIR;
    }
    const char *slash = strrchr(path, '/');
    if (errno != ENOENT || !slash || slash == path)
        return err_errno(err, "creating folder %s", path);
    _cleanup_free_ char *parent = xstrndup(path, (size_t)(slash - path));
    int r = dir_make(parent, mode, err);
    if (r < 0)
        return r;
    if (mkdir(path, mode) < 0 && errno != EEXIST)
        return err_errno(err, "creating folder %s", path);
    return 0;
}

static int remove_at(int parent, const char *name, dev_t dev, struct err *err);

static int empty_dir(int fd, dev_t dev, struct err *err)
{
    DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return err_errno(err, "reading folder");
    }
    int r = 0;
    struct dirent *entry;
    while (!r && (errno = 0, entry = readdir(dir)))
        if (!streq(entry->d_name, ".") && !streq(entry->d_name, ".."))
            r = remove_at(dirfd(dir), entry->d_name, dev, err);
    closedir(dir);
    return r;
}

static int remove_at(int parent, const char *name, dev_t dev, struct err *err)
{
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return err_errno(err, "removing %s", name);
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    if (fd < 0)
        return errno == ENOENT ? 0 : err_errno(err, "opening folder %s", name);
    if (fstat(fd, &st) < 0 || st.st_dev != dev) {
        close(fd);
        return err_set(err, ERR_IO, "%s is on another file system: left alone", name);
    }
    int r = empty_dir(fd, dev, err);
    if (r < 0)
        return err_wrap(err, "%s", name);
    if (unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return err_errno(err, "removing folder %s", name);
    return 0;
}

int dir_remove(const char *path, struct err *err)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : err_errno(err, "removing %s", path);
    return remove_at(AT_FDCWD, path, st.st_dev, err);
}

int dir_remove_at(int parent, const char *name, struct err *err)
{
    struct stat st;
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : err_errno(err, "removing %s", name);
    return remove_at(parent, name, st.st_dev, err);
}

int dir_empty(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0) {
        closep(&fd);
        return err_errno(err, "emptying %s", path);
    }
    int r = empty_dir(fd, st.st_dev, err);
    return r < 0 ? err_wrap(err, "emptying %s", path) : 0;
}

bool path_exists(const char *path)
{
    return faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

bool path_is_component(const char *name)
{
    size_t n = strlen(name);
    return n > 0 && n <= 255 && !strchr(name, '/') && !streq(name, ".") && !streq(name, "..");
}

char *program_find(const char *name)
{
    const char *path = getenv("PATH");
    struct str rest = str_of(path && *path ? path : "/usr/sbin:/usr/bin:/sbin:/bin");
    while (rest.ptr) {
        struct str dir = str_cut(&rest, ':');
        _cleanup_free_ char *file = xasprintf("%.*s/%s", (int)dir.len, dir.ptr, name);
        if (dir.len && access(file, X_OK) == 0)
            return TAKE_PTR(file);
    }
    return NULL;
}
