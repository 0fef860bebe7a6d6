#include "builder/tree.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/digest.h"

enum { DEPTH_MAX = 64 };

static int open_beneath(int dir, const char *path, int flags)
{
    struct open_how how = {.flags = (unsigned)flags | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

static int open_dir(const char *dir) { return open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC); }

static int open_in(const char *dir, const char *path, int flags)
{
    _cleanup_close_ int base = open_dir(dir);
    return base < 0 ? -1 : open_beneath(base, path, flags);
}

/* Without O_PATH first, opening a device or a pipe would already do something. */
static int open_regular(const char *dir, const char *path, struct stat *st, struct err *err)
{
    _cleanup_close_ int fd = open_in(dir, path, O_PATH);
    if (fd < 0 && (errno == EXDEV || errno == ELOOP))
        return err_set(err, ERR_INVALID, "%s leads out of the source tree", path);
    if (fd < 0 || fstat(fd, st) < 0)
        return err_errno(err, "opening %s", path);
    if (!S_ISREG(st->st_mode))
        return err_set(err, ERR_INVALID, "%s is not a file", path);
    char name[32];
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    int readable = open(name, O_RDONLY | O_CLOEXEC);
    return readable < 0 ? err_errno(err, "opening %s", path) : readable;
}

int tree_read(const char *dir, const char *path, struct buf *ret, struct err *err)
{
    struct stat st;
    _cleanup_close_ int fd = open_regular(dir, path, &st, err);
    if (fd < 0)
        return fd;
    char chunk[65536];
    ssize_t n;
    while ((n = read(fd, chunk, sizeof(chunk))) > 0 && !ret->overflow)
        buf_add(ret, chunk, (size_t)n);
    return n < 0 ? err_errno(err, "reading %s", path) : buf_check(ret, path, err);
}

const char *tree_kind(const char *dir, const char *path)
{
    struct stat st;
    _cleanup_close_ int fd = open_in(dir, path, O_PATH);
    if (fd < 0 || fstat(fd, &st) < 0)
        return "-";
    return S_ISREG(st.st_mode) ? "file" : S_ISDIR(st.st_mode) ? "folder" : "other";
}

bool tree_has_file(const char *dir, const char *path)
{
    return streq(tree_kind(dir, path), "file");
}

static int names_of(int fd, const char *path, struct strv *ret, struct err *err)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    DIR *d = copy < 0 ? NULL : fdopendir(copy);
    if (!d) {
        closep(&copy);
        return err_errno(err, "reading folder %s", path);
    }
    for (struct dirent *e; (e = readdir(d));)
        if (!streq(e->d_name, ".") && !streq(e->d_name, ".."))
            strv_add(ret, e->d_name);
    closedir(d);
    strv_sort(ret);
    return 0;
}

int tree_names(const char *dir, struct strv *ret, struct err *err)
{
    _cleanup_close_ int fd = open_dir(dir);
    return fd < 0 ? err_errno(err, "opening %s", dir) : names_of(fd, dir, ret, err);
}

/* --- digests --------------------------------------------------------------------------------- */

static void add_text(struct sha256_ctx *h, const char *s)
{
    sha256_update(h, strlen(s) + 1, (const uint8_t *)s);
}

static int add_content(struct sha256_ctx *h, int fd, const char *path, struct err *err)
{
    char chunk[65536];
    ssize_t n;
    while ((n = read(fd, chunk, sizeof(chunk))) > 0)
        sha256_update(h, (size_t)n, (const uint8_t *)chunk);
    return n < 0 ? err_errno(err, "reading %s", path) : 0;
}

static int add_entry(struct sha256_ctx *h, int dir, const char *name, int depth, struct err *err);

static int add_folder(struct sha256_ctx *h, int fd, const char *path, int depth, struct err *err)
{
    _cleanup_(strv_release) struct strv names = {0};
    int r = depth ? names_of(fd, path, &names, err)
                  : err_set(err, ERR_INVALID, "%s lies too deep", path);
    for (size_t i = 0; !r && i < names.n; i++) {
        add_text(h, names.items[i]);
        r = add_entry(h, fd, names.items[i], depth - 1, err);
    }
    add_text(h, "/");
    return r;
}

static int add_link(struct sha256_ctx *h, int dir, const char *name, struct err *err)
{
    char target[4096];
    ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);
    if (n < 0)
        return err_errno(err, "reading link %s", name);
    target[n] = '\0';
    add_text(h, "link");
    add_text(h, target);
    return 0;
}

/* Links count as what they say, not as what is behind them. */
static int add_entry(struct sha256_ctx *h, int dir, const char *name, int depth, struct err *err)
{
    struct stat st;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_errno(err, "looking at %s", name);
    if (S_ISLNK(st.st_mode))
        return add_link(h, dir, name, err);
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return err_set(err, ERR_INVALID, "%s is neither a file nor a folder", name);
    _cleanup_close_ int fd = open_beneath(dir, name, O_RDONLY | O_NONBLOCK);
    if (fd < 0)
        return err_errno(err, "opening %s", name);
    if (S_ISDIR(st.st_mode))
        return add_folder(h, fd, name, depth, err);
    add_text(h, st.st_mode & 0100 ? "program" : "file");
    return add_content(h, fd, name, err);
}

int tree_hash(const char *dir, const char *path, char ret[HASH_LEN + 1], struct err *err)
{
    struct err own;
    _cleanup_close_ int base = open_dir(dir);
    if (base < 0)
        return err_errno(err, "opening %s", dir);
    _cleanup_close_ int probe = open_beneath(base, path, O_PATH | O_NOFOLLOW);
    if (probe < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        memcpy(ret, "-", 2);
        return 0;
    }
    if (probe < 0)
        return err_set(err, ERR_INVALID, "%s leads out of the source tree", path);
    struct sha256_ctx h;
    sha256_init(&h);
    int r = add_entry(&h, base, path, DEPTH_MAX, err ? err : &own);
    if (!r)
        sha256_finish_hex(&h, ret);
    return r;
}

char *tree_path(const char *path)
{
    _cleanup_(buf_release) struct buf b = BUF_INIT;
    struct str rest = str_of(path);
    for (const char *c = path; *c; c++)
        if (iscntrl((unsigned char)*c))
            return NULL;
    while (rest.ptr) {
        struct str part = str_cut(&rest, '/');
        if (str_eq(part, STR("..")))
            return NULL;
        if (part.len && !str_eq(part, STR(".")))
            buf_addf(&b, "%s%.*s", b.len ? "/" : "", (int)part.len, part.ptr);
    }
    return b.len ? buf_take(&b) : xstrdup(".");
}

void text_hash(struct str s, char ret[HASH_LEN + 1])
{
    struct sha256_ctx h;
    sha256_init(&h);
    sha256_update(&h, s.len, (const uint8_t *)s.ptr);
    sha256_finish_hex(&h, ret);
}
