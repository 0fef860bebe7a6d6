#include "image/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

void beneath_forget(struct beneath *b)
{
    for (size_t i = 0; i < BENEATH_SLOTS; i++) {
        if (!b->slots[i].path)
            continue;
        close(b->slots[i].fd);
        freep(&b->slots[i].path);
        b->slots[i].path = NULL;
    }
}

void beneath_release(struct beneath *b) { beneath_forget(b); }

int path_clean(const char *path, struct buf *ret, struct err *err)
{
    struct str rest = str_of(path);
    unsigned depth = 0;
    buf_reset(ret);
    while (rest.ptr) {
        struct str part = str_cut(&rest, '/');
        if (!part.len || str_eq(part, STR(".")))
            continue;
        if (str_eq(part, STR("..")))
            return err_set(err, ERR_INVALID, "'..' leads out of the folder");
        if (part.len > NAME_MAX || ++depth > BENEATH_DEPTH_MAX)
            return err_set(err, ERR_INVALID, "%s",
                           depth > BENEATH_DEPTH_MAX ? "more than 256 folders deep"
                                                     : "a name longer than 255 bytes");
        if (ret->len)
            buf_addc(ret, '/');
        buf_add(ret, part.ptr, part.len);
    }
    buf_addc(ret, '\0'); /* so that "" too has a ptr */
    ret->len--;
    if (ret->overflow || ret->len >= PATH_MAX)
        return err_set(err, ERR_INVALID, "a path longer than %d bytes", PATH_MAX - 1);
    return 0;
}

bool whiteout_at(int parent, const char *name)
{
    struct stat st;
    return fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISCHR(st.st_mode) &&
           st.st_rdev == makedev(0, 0);
}

int opaque_set(int fd, struct err *err)
{
    if (fsetxattr(fd, "trusted.overlay.opaque", "y", 1, 0) < 0)
        return err_errno(err, "marking the folder as opaque");
    return 0;
}

/* Opens the folder `path`; -1 with errno. */
static int open_folder(const struct beneath *b, const char *path)
{
    struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV};
    return (int)syscall(SYS_openat2, b->root, path, &how, sizeof(how));
}

static int make_folder(const struct beneath *b, int parent, const char *name, struct err *err)
{
    bool whiteout = whiteout_at(parent, name);
    if (whiteout && unlinkat(parent, name, 0) < 0)
        return err_errno(err, "removing the whiteout");
    if (mkdirat(parent, name, 0755) < 0 && errno != EEXIST)
        return err_errno(err, "making folder %s", name);
    _cleanup_close_ int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, ERR_INVALID, "%s is in the way and not a folder", name);
    const struct timespec times[2] = {{0, 0}, {0, 0}};
    if (fchmod(fd, 0755) < 0 || fchown(fd, b->owner, b->owner) < 0 || futimens(fd, times) < 0)
        return err_errno(err, "making folder %s", name);
    return whiteout ? opaque_set(fd, err) : 0;
}

/* A descriptor of the folder `path`, kept in a slot. */
static int folder(struct beneath *b, const char *path, size_t len, bool make, int *ret,
                  struct err *err)
{
    for (size_t i = 0; i < BENEATH_SLOTS; i++) {
        const char *p = b->slots[i].path;
        if (p && !strncmp(p, path, len) && !p[len]) {
            *ret = b->slots[i].fd;
            return 0;
        }
    }
    _cleanup_free_ char *whole = xstrndup(path, len);
    int fd = open_folder(b, whole);
    if (fd < 0 && make && (errno == ENOENT || errno == ENOTDIR)) {
        struct place at;
        int r = beneath_find(b, whole, true, &at, err);
        if (!r)
            r = make_folder(b, at.parent, at.name, err);
        if (r < 0)
            return r;
        fd = open_folder(b, whole);
    }
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == EXDEV))
        return err_set(err, ERR_INVALID, "there is no folder %s", whole);
    if (fd < 0)
        return err_errno(err, "opening folder %s", whole);
    unsigned i = b->next++ % BENEATH_SLOTS;
    if (b->slots[i].path) {
        close(b->slots[i].fd);
        free(b->slots[i].path);
    }
    b->slots[i].path = TAKE_PTR(whole);
    *ret = b->slots[i].fd = fd;
    return 0;
}

int beneath_find(struct beneath *b, const char *path, bool make, struct place *ret, struct err *err)
{
    const char *slash = strrchr(path, '/');
    struct place at = {.parent = b->root, .name = slash ? slash + 1 : path};
    if (slash) {
        int r = folder(b, path, (size_t)(slash - path), make, &at.parent, err);
        if (r < 0)
            return r;
    }
    *ret = at;
    return 0;
}
