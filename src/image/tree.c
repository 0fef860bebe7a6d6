#include "image/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "image/beneath.h"
#include "image/internal.h"
#include "image/tar.h"

enum { CHUNK = 128 << 10, XATTRS_MAX = 1 << 20 };

/* Files with several links that were met, by inode: open addressing, `used` ≤ half of `size`. */
struct links {
    struct link {
        ino_t ino;
        char *path;
    } * slots;
    size_t used, size;
};

struct walk {
    uid_t uid_base;
    const struct tar_sink *sink;
    struct tree_stats stats;
    struct buf out;  /* headers, and content in between */
    struct buf path; /* of the current entry */
    struct links links;
    dev_t dev;
    unsigned depth;
};

static struct link *find_link(struct links *l, ino_t ino)
{
    size_t i = (size_t)ino * 0x9e3779b97f4a7c15ULL & (l->size - 1);
    while (l->slots[i].path && l->slots[i].ino != ino)
        i = (i + 1) & (l->size - 1);
    return &l->slots[i];
}

static void grow_links(struct links *l)
{
    struct links bigger = {.used = l->used, .size = MAX(l->size * 2, (size_t)256)};
    bigger.slots = xcalloc(bigger.size, sizeof(*bigger.slots));
    for (size_t i = 0; i < l->size; i++)
        if (l->slots[i].path)
            *find_link(&bigger, l->slots[i].ino) = l->slots[i];
    free(l->slots);
    *l = bigger;
}

/* The path under which the file was met first; NULL, and noted, if this is the first. */
static const char *met_before(struct links *l, ino_t ino, const char *path)
{
    if (l->used * 2 >= l->size)
        grow_links(l);
    struct link *at = find_link(l, ino);
    if (at->path)
        return at->path;
    *at = (struct link){ino, xstrdup(path)};
    l->used++;
    return NULL;
}

static int flush(struct walk *w, struct err *err)
{
    int r = buf_check(&w->out, "a tar header", err);
    if (!r && w->out.len)
        r = w->sink->write(w->sink->ctx, w->out.ptr, w->out.len, err);
    w->stats.tar_size += w->out.len;
    buf_reset(&w->out);
    return r;
}

static int add(struct walk *w, const struct tar_entry *e, struct err *err)
{
    tar_header(&w->out, e);
    return w->out.len >= CHUNK ? flush(w, err) : 0;
}

static int refuse(const char *path, const char *why, struct err *err)
{
    return err_set(err, ERR_INVALID, "'%.200s' can't be in an image: %s", path, why);
}

/* The shift undone. */
static int unshift(const struct walk *w, const struct stat *st, struct tar_entry *e,
                   struct err *err)
{
    if (st->st_uid - w->uid_base >= IMAGE_IDS || st->st_gid - w->uid_base >= IMAGE_IDS)
        return err_set(err, ERR_INVALID,
                       "'%.200s' belongs to %u:%u of this machine; owners in an image are %u to %u",
                       w->path.ptr, st->st_uid, st->st_gid, w->uid_base,
                       w->uid_base + IMAGE_IDS - 1);
    e->uid = st->st_uid - w->uid_base;
    e->gid = st->st_gid - w->uid_base;
    e->mode = st->st_mode & 07777;
    e->mtime = st->st_mtim.tv_sec;
    return 0;
}

static int add_xattr(int fd, const char *name, struct buf *ret, struct err *err)
{
    char value[65536]; /* XATTR_SIZE_MAX */
    ssize_t n = fgetxattr(fd, name, value, sizeof(value));
    if (n < 0)
        return err_errno(err, "reading the attribute %s", name);
    _cleanup_free_ char *key = xasprintf("SCHILY.xattr.%s", name);
    tar_pax(ret, key, (struct str){value, (size_t)n});
    return 0;
}

static int read_overlay_xattr(const struct walk *w, int fd, const char *name, bool *ret_opaque,
                              struct err *err)
{
    if (streq(name, "trusted.overlay.redirect") || streq(name, "trusted.overlay.metacopy"))
        return refuse(w->path.ptr, "it was made on an overlay with redirect_dir or metacopy", err);
    if (!streq(name, "trusted.overlay.opaque"))
        return 0;
    char value[2];
    *ret_opaque = fgetxattr(fd, name, value, sizeof(value)) == 1 && value[0] == 'y';
    return 0;
}

/* The user's attributes as pax records, sorted by name; and whether the folder is opaque. */
static int read_xattrs(const struct walk *w, int fd, struct buf *ret, bool *ret_opaque,
                       struct err *err)
{
    char names[65536]; /* XATTR_LIST_MAX */
    ssize_t n = flistxattr(fd, names, sizeof(names));
    *ret_opaque = false;
    if (n <= 0)
        return n == 0 || errno == ENOTSUP ? 0 : err_errno(err, "reading attributes");
    _cleanup_(strv_release) struct strv user = {0};
    int r = 0;
    for (const char *p = names; !r && p < names + n; p += strlen(p) + 1) {
        if (!strncmp(p, "user.", 5) && strncmp(p, "user.overlay.", 13) != 0)
            strv_add(&user, p);
        r = read_overlay_xattr(w, fd, p, ret_opaque, err);
    }
    strv_sort(&user);
    for (size_t i = 0; !r && i < user.n; i++)
        r = add_xattr(fd, user.items[i], ret, err);
    return r < 0 ? r : buf_check(ret, "the extended attributes", err);
}

static int add_content(struct walk *w, int fd, uint64_t size, struct err *err)
{
    static const char zeros[TAR_BLOCK];
    char chunk[CHUNK];
    for (uint64_t left = size; left;) {
        ssize_t n = TEMP_FAILURE_RETRY(read(fd, chunk, (size_t)MIN(left, sizeof(chunk))));
        if (n < 0)
            return err_errno(err, "reading it");
        if (n == 0)
            return err_set(err, ERR_CONFLICT, "it got shorter meanwhile");
        /* Small content joins its header; large content goes straight on. */
        int r = 0;
        if ((size_t)n < CHUNK / 4) {
            buf_add(&w->out, chunk, (size_t)n);
            r = w->out.len >= CHUNK ? flush(w, err) : 0;
        } else if (!(r = flush(w, err))) {
            w->stats.tar_size += (uint64_t)n;
            r = w->sink->write(w->sink->ctx, chunk, (size_t)n, err);
        }
        if (r < 0)
            return r;
        left -= (uint64_t)n;
    }
    buf_add(&w->out, zeros, tar_padding(size));
    return 0;
}

static int walk_file(struct walk *w, int parent, const char *name, const struct stat *st,
                     struct err *err)
{
    struct tar_entry e = {.type = TAR_FILE, .path = w->path.ptr, .link = ""};
    int r = unshift(w, st, &e, err);
    if (r < 0)
        return r;
    const char *first = st->st_nlink > 1 ? met_before(&w->links, st->st_ino, w->path.ptr) : NULL;
    if (first) {
        e.type = TAR_HARDLINK;
        e.link = first;
        return add(w, &e, err);
    }
    _cleanup_close_ int fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, "opening '%.200s'", w->path.ptr);
    _cleanup_(buf_release) struct buf xattrs = BUF_CAP(XATTRS_MAX);
    bool opaque;
    if ((r = read_xattrs(w, fd, &xattrs, &opaque, err)) < 0)
        return err_wrap(err, "'%.200s'", w->path.ptr);
    e.size = (uint64_t)st->st_size;
    e.xattrs = buf_str(&xattrs);
    r = add(w, &e, err);
    if (!r && (r = add_content(w, fd, e.size, err)) < 0)
        err_wrap(err, "'%.200s'", w->path.ptr);
    return r;
}

static int walk_symlink(struct walk *w, int parent, const char *name, const struct stat *st,
                        struct err *err)
{
    char target[4096];
    ssize_t n = readlinkat(parent, name, target, sizeof(target));
    if (n < 0 || n == (ssize_t)sizeof(target))
        return err_errno(err, "reading the link '%.200s'", w->path.ptr);
    target[n] = '\0';
    struct tar_entry e = {.type = TAR_SYMLINK, .path = w->path.ptr, .link = target};
    int r = unshift(w, st, &e, err);
    e.mode = 0777;
    return r < 0 ? r : add(w, &e, err);
}

static int walk_fifo(struct walk *w, const struct stat *st, struct err *err)
{
    struct tar_entry e = {.type = TAR_FIFO, .path = w->path.ptr, .link = ""};
    int r = unshift(w, st, &e, err);
    return r < 0 ? r : add(w, &e, err);
}

/* `.wh.NAME` in the folder whose path is the first `len` bytes of w->path. */
static int add_whiteout(struct walk *w, size_t len, const char *name, struct err *err)
{
    _cleanup_free_ char *path = xasprintf("%.*s.wh.%s", (int)len, w->path.ptr, name);
    struct tar_entry e = {.type = TAR_FILE, .path = path, .link = ""};
    return add(w, &e, err);
}

static int walk_folder(struct walk *w, int fd, struct err *err);

static int walk_entry(struct walk *w, int parent, const char *name, struct err *err)
{
    struct stat st;
    size_t len = w->path.len;
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_errno(err, "looking at '%.200s%s'", w->path.ptr, name);
    if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0))
        return add_whiteout(w, len, name, err);
    buf_adds(&w->path, name);
    if (w->path.overflow)
        return refuse(name, "its path is too long", err);
    if (st.st_dev != w->dev)
        return refuse(w->path.ptr, "it is on another file system", err);
    if (!strncmp(name, ".wh.", 4))
        return refuse(w->path.ptr, "names starting with '.wh.' mean deletions there", err);
    int r = 0;
    if (S_ISREG(st.st_mode)) {
        r = walk_file(w, parent, name, &st, err);
    } else if (S_ISDIR(st.st_mode)) {
        _cleanup_close_ int fd =
            openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
            return err_errno(err, "opening '%.200s'", w->path.ptr);
        buf_addc(&w->path, '/');
        r = walk_folder(w, fd, err);
    } else if (S_ISLNK(st.st_mode)) {
        r = walk_symlink(w, parent, name, &st, err);
    } else if (S_ISFIFO(st.st_mode)) {
        r = walk_fifo(w, &st, err);
    } else if (!S_ISSOCK(st.st_mode)) {
        r = refuse(w->path.ptr, "it is a device node", err);
    }
    w->path.len = len;
    w->path.ptr[len] = '\0';
    return r;
}

static int read_names(int fd, struct strv *ret, struct err *err)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    if (!dir) {
        closep(&copy);
        return err_errno(err, "reading the folder");
    }
    struct dirent *e;
    while ((errno = 0, e = readdir(dir)))
        if (!streq(e->d_name, ".") && !streq(e->d_name, ".."))
            strv_add(ret, e->d_name);
    int r = errno ? err_errno(err, "reading the folder") : 0;
    closedir(dir);
    strv_sort(ret);
    return r;
}

static bool usual_root(const struct tar_entry *e)
{
    return e->mode == 0755 && e->uid == 0 && e->gid == 0 && !e->xattrs.len;
}

static int add_folder(struct walk *w, int fd, struct err *err)
{
    struct stat st;
    struct tar_entry e = {.type = TAR_FOLDER, .path = w->depth ? w->path.ptr : "./", .link = ""};
    _cleanup_(buf_release) struct buf xattrs = BUF_CAP(XATTRS_MAX);
    bool opaque = false;
    if (fstat(fd, &st) < 0)
        return err_errno(err, "looking at it");
    int r = unshift(w, &st, &e, err);
    if (!r)
        r = read_xattrs(w, fd, &xattrs, &opaque, err);
    if (r < 0)
        return r;
    e.xattrs = buf_str(&xattrs);
    if (!w->depth && opaque)
        return refuse("/", "it would delete the whole root", err);
    if (w->depth || !usual_root(&e))
        r = add(w, &e, err);
    return !r && opaque ? add_whiteout(w, w->path.len, ".wh..opq", err) : r;
}

static int walk_folder(struct walk *w, int fd, struct err *err)
{
    _cleanup_(strv_release) struct strv names = {0};
    if (w->depth > BENEATH_DEPTH_MAX)
        return refuse(w->path.ptr, "more than 256 folders deep", err);
    int r = add_folder(w, fd, err);
    if (!r)
        r = read_names(fd, &names, err);
    if (r < 0)
        return err_wrap(err, "folder '%.200s'", w->path.ptr);
    w->depth++;
    w->stats.files += names.n;
    for (size_t i = 0; !r && i < names.n; i++)
        r = walk_entry(w, fd, names.items[i], err);
    w->depth--;
    return r;
}

int tree_tar(int dir, uid_t uid_base, const struct tar_sink *sink, struct tree_stats *ret,
             struct err *err)
{
    static const char end[2 * TAR_BLOCK];
    struct walk w = {.uid_base = uid_base,
                     .sink = sink,
                     .out = BUF_CAP(4 * CHUNK + XATTRS_MAX),
                     .path = BUF_CAP(PATH_MAX - 1)};
    struct stat st;
    if (fstat(dir, &st) < 0)
        return err_errno(err, "looking at the folder");
    w.dev = st.st_dev;
    buf_adds(&w.path, "");
    int r = walk_folder(&w, dir, err);
    if (!r) {
        buf_add(&w.out, end, sizeof(end));
        r = flush(&w, err);
    }
    if (!r)
        *ret = w.stats;
    for (size_t i = 0; i < w.links.size; i++)
        free(w.links.slots[i].path);
    free(w.links.slots);
    buf_release(&w.out);
    buf_release(&w.path);
    return r;
}
