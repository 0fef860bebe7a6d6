#include "image/entry.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/array.h"
#include "image/recipe.h"
#include "os/file.h"

/* Smaller content costs less in a recipe than a reference to it. */
enum { COMPARE_BLOCK = 128 << 10, RECIPE_FILE_MIN = 256 };

/* What stands under the name already gives way, but a folder to a folder. `ret_hides`: it was a
 * whiteout, so a folder made here must hide what is below it. */
static int make_way(struct unpack *u, const struct place *at, bool folder, bool *ret_hides,
                    struct err *err)
{
    struct stat st;
    *ret_hides = false;
    if (fstatat(at->parent, at->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : err_errno(err, "looking it up");
    if (folder && S_ISDIR(st.st_mode))
        return 0;
    *ret_hides = folder && whiteout_at(at->parent, at->name);
    u->replaced = true;
    if (!S_ISDIR(st.st_mode) && !S_ISLNK(st.st_mode)) {
        if (unlinkat(at->parent, at->name, 0) < 0)
            return err_errno(err, "replacing what was there");
        return 0;
    }
    int r = dir_remove_at(at->parent, at->name, err);
    beneath_forget(&u->at);
    return r;
}

/* Finds the place again after make_way forgot all folders. */
static int clear_place(struct unpack *u, const char *path, bool folder, struct place *ret,
                       bool *ret_hides, struct err *err)
{
    struct place at;
    int r = beneath_find(&u->at, path, true, &at, err);
    if (!r)
        r = make_way(u, &at, folder, ret_hides, err);
    return r < 0 ? r : beneath_find(&u->at, path, true, ret, err);
}

static bool in_range(int64_t id) { return id >= 0 && id < IMAGE_IDS; }

/* Owners beyond what an instance can have are nobody's there; so they are here. */
static uid_t shift(const struct unpack *u, int64_t id)
{
    if (u->limits.owner)
        id = u->limits.owner;
    return u->store->uid_base + (uid_t)(in_range(id) ? id : IMAGE_NOBODY);
}

static mode_t mode_of(struct archive_entry *e)
{
    bool ours = in_range(archive_entry_uid(e)) && in_range(archive_entry_gid(e));
    return archive_entry_perm(e) & (ours ? 07777 : 01777);
}

static struct timespec time_of(struct archive_entry *e)
{
    return (struct timespec){archive_entry_mtime(e), archive_entry_mtime_nsec(e)};
}

/* Of extended attributes only user.* are the image's to set: trusted.overlay.* would steer our
 * overlay, security.capability give rights, security.* and system.* are the host's. */
static bool xattr_kept(const char *name)
{
    return !strncmp(name, "user.", 5) && strncmp(name, "user.overlay.", 13) != 0;
}

static int set_xattrs(int fd, struct archive_entry *e, struct err *err)
{
    const char *name;
    const void *value;
    size_t size;
    archive_entry_xattr_reset(e);
    while (archive_entry_xattr_next(e, &name, &value, &size) == ARCHIVE_OK)
        if (name && xattr_kept(name) && fsetxattr(fd, name, value, size, 0) < 0)
            return err_errno(err, "setting the attribute %.100s", name);
    return 0;
}

/* Owner first: changing it clears setuid. The time last. */
static int set_meta(struct unpack *u, int fd, struct archive_entry *e, struct err *err)
{
    struct timespec times[2] = {time_of(e), time_of(e)};
    int r = archive_entry_xattr_count(e) ? set_xattrs(fd, e, err) : 0;
    if (r < 0)
        return r;
    if (fchown(fd, shift(u, archive_entry_uid(e)), shift(u, archive_entry_gid(e))) < 0 ||
        fchmod(fd, mode_of(e)) < 0 || futimens(fd, times) < 0)
        return err_errno(err, "setting owner, mode and time");
    return 0;
}

static void remember_folder(struct unpack *u, struct archive_entry *e)
{
    *array_add(u->folders, u->folders_n) = (struct folder_time){xstrdup(u->path.ptr), time_of(e)};
}

static int make_folder(struct unpack *u, struct archive_entry *e, struct err *err)
{
    struct place at;
    bool hides = false;
    int r = u->path.len ? clear_place(u, u->path.ptr, true, &at, &hides, err) : 0;
    if (r < 0)
        return r;
    if (u->path.len && mkdirat(at.parent, at.name, 0700) < 0 && errno != EEXIST)
        return err_errno(err, "making the folder");
    _cleanup_close_ int fd =
        u->path.len ? openat(at.parent, at.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                    : fcntl(u->at.root, F_DUPFD_CLOEXEC, 3);
    if (fd < 0)
        return err_errno(err, "opening the folder");
    if ((hides && (r = opaque_set(fd, err)) < 0) || (r = set_meta(u, fd, e, err)) < 0)
        return r;
    remember_folder(u, e);
    return 0;
}

/* A block of content as libarchive hands it out. */
struct block {
    const void *data;
    size_t len;
    int64_t offset;
};

/* 1: there is one, 0: that was the last. */
static int next_block(struct unpack *u, int64_t size, int64_t end, struct block *ret,
                      struct err *err)
{
    int got = archive_read_data_block(u->archive, &ret->data, &ret->len, &ret->offset);
    if (got == ARCHIVE_EOF)
        return 0;
    if (got != ARCHIVE_OK)
        return unpack_failure(u, err);
    if (ret->offset < end || ret->offset > size || ret->len > (uint64_t)(size - ret->offset))
        return err_set(err, ERR_INVALID, "its content does not fit its size");
    return 1;
}

/* Writes what is left of the content behind the `end` bytes that `fd` holds already, from `b` on if
 * that has a block. */
static int write_blocks(struct unpack *u, int fd, int64_t size, int64_t end, struct block *b,
                        struct err *err)
{
    int r = b->data ? 1 : next_block(u, size, end, b, err);
    for (; r > 0; r = next_block(u, size, end, b, err)) {
        if (b->offset != end && lseek(fd, b->offset, SEEK_SET) < 0)
            return err_errno(err, "writing");
        if ((r = fd_write_all(fd, b->data, b->len, err)) < 0)
            return r;
        end = b->offset + (int64_t)b->len;
    }
    if (!r && end < size && ftruncate(fd, size) < 0)
        return err_errno(err, "writing");
    return r;
}

static bool has_user_xattrs(int fd)
{
    char names[4096];
    ssize_t n = flistxattr(fd, names, sizeof(names));
    for (const char *p = names; n > 0 && p < names + n; p += strlen(p) + 1)
        if (!strncmp(p, "user.", 5))
            return true;
    return n < 0 && errno != ENOTSUP;
}

/* The file of the same path, size, mode and owner in `like`; -1 if there is none. */
static int open_like(struct unpack *u, struct archive_entry *e, struct place *ret)
{
    struct stat st;
    if (u->like.root < 0 || archive_entry_sparse_count(e) || archive_entry_xattr_count(e) ||
        beneath_find(&u->like, u->path.ptr, false, ret, NULL) < 0)
        return -1;
    _cleanup_close_ int fd =
        openat(ret->parent, ret->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
        st.st_size != archive_entry_size(e) || (st.st_mode & 07777) != mode_of(e) ||
        st.st_uid != shift(u, archive_entry_uid(e)) ||
        st.st_gid != shift(u, archive_entry_gid(e)) || has_user_xattrs(fd))
        return -1;
    return TAKE_FD(fd);
}

static bool same_block(struct unpack *u, int fd, const struct block *b)
{
    for (size_t done = 0; done < b->len;) {
        size_t want = MIN(b->len - done, (size_t)COMPARE_BLOCK);
        ssize_t n = TEMP_FAILURE_RETRY(pread(fd, u->block, want, b->offset + (int64_t)done));
        if (n <= 0 || memcmp(u->block, (const char *)b->data + done, (size_t)n) != 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

/* Reads content for as long as it is that of `fd`: up to *ret_same; ret_first is the block that
 * differed, without data if none did. */
static int compare(struct unpack *u, int fd, int64_t size, int64_t *ret_same,
                   struct block *ret_first, struct err *err)
{
    if (!u->block)
        u->block = xmalloc(COMPARE_BLOCK);
    int64_t end = 0;
    int r;
    struct block b;
    while ((r = next_block(u, size, end, &b, err)) > 0) {
        if (b.offset != end || !same_block(u, fd, &b)) {
            *ret_first = b;
            break;
        }
        end += (int64_t)b.len;
    }
    *ret_same = end;
    return r < 0 ? r : 0;
}

static int copy_prefix(struct unpack *u, int from, int to, int64_t len, struct err *err)
{
    for (off_t at = 0; at < len;) {
        ssize_t n = TEMP_FAILURE_RETRY(
            pread(from, u->block, (size_t)MIN(len - at, (int64_t)COMPARE_BLOCK), at));
        if (n <= 0)
            return err_errno(err, "reading the file that was alike");
        int r = fd_write_all(to, u->block, (size_t)n, err);
        if (r < 0)
            return r;
        at += n;
    }
    return 0;
}

/* The content of this file need not stand in the recipe. */
static void expect_content(struct unpack *u, struct archive_entry *e)
{
    int64_t size = archive_entry_size(e);
    if (u->recipe && size >= RECIPE_FILE_MIN && !archive_entry_sparse_count(e))
        recipe_expect(u->recipe, (uint64_t)archive_filter_bytes(u->archive, 0), (uint64_t)size,
                      u->path.ptr);
}

static int create(struct unpack *u, struct archive_entry *e, int *ret, struct err *err)
{
    struct place at;
    int r = beneath_find(&u->at, u->path.ptr, true, &at, err);
    if (r < 0)
        return r;
    expect_content(u, e);
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    *ret = openat(at.parent, at.name, flags, 0600);
    if (*ret < 0 && errno == EEXIST) {
        bool hides;
        if ((r = clear_place(u, u->path.ptr, false, &at, &hides, err)) < 0)
            return r;
        *ret = openat(at.parent, at.name, flags, 0600);
    }
    return *ret < 0 ? err_errno(err, "making the file") : 0;
}

static bool link_like(struct unpack *u, const struct place *like)
{
    struct place at;
    bool hides;
    return clear_place(u, u->path.ptr, false, &at, &hides, NULL) == 0 &&
           linkat(like->parent, like->name, at.parent, at.name, 0) == 0;
}

static int make_file(struct unpack *u, struct archive_entry *e, struct err *err)
{
    struct place at_like;
    struct block first = {0};
    int64_t size = archive_entry_size(e), same = 0;
    _cleanup_close_ int like = open_like(u, e, &at_like);
    _cleanup_close_ int fd = -1;
    int r = like >= 0 ? compare(u, like, size, &same, &first, err) : 0;
    if (r < 0)
        return r;
    /* Where it can't be linked (too many links, another file system) it is copied. */
    if (like >= 0 && same == size && link_like(u, &at_like))
        return 0;
    if ((r = create(u, e, &fd, err)) < 0 || (r = copy_prefix(u, like, fd, same, err)) < 0 ||
        (r = write_blocks(u, fd, size, same, &first, err)) < 0)
        return r;
    return set_meta(u, fd, e, err);
}

static int make_symlink(struct unpack *u, struct archive_entry *e, struct err *err)
{
    struct place at;
    bool hides;
    const char *target = archive_entry_symlink(e);
    struct timespec times[2] = {time_of(e), time_of(e)};
    if (!target || !*target || strlen(target) >= PATH_MAX)
        return err_set(err, ERR_INVALID, "a symbolic link to nowhere");
    int r = clear_place(u, u->path.ptr, false, &at, &hides, err);
    if (r < 0)
        return r;
    if (symlinkat(target, at.parent, at.name) < 0 ||
        fchownat(at.parent, at.name, shift(u, archive_entry_uid(e)), shift(u, archive_entry_gid(e)),
                 AT_SYMLINK_NOFOLLOW) < 0 ||
        utimensat(at.parent, at.name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return err_errno(err, "making the symbolic link");
    return 0;
}

static int make_fifo(struct unpack *u, struct archive_entry *e, struct err *err)
{
    struct place at;
    bool hides;
    int r = clear_place(u, u->path.ptr, false, &at, &hides, err);
    if (r < 0)
        return r;
    struct timespec times[2] = {time_of(e), time_of(e)};
    if (mkfifoat(at.parent, at.name, 0600) < 0 ||
        fchownat(at.parent, at.name, shift(u, archive_entry_uid(e)), shift(u, archive_entry_gid(e)),
                 AT_SYMLINK_NOFOLLOW) < 0 ||
        fchmodat(at.parent, at.name, mode_of(e), 0) < 0 ||
        utimensat(at.parent, at.name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return err_errno(err, "making the pipe");
    return 0;
}

static int make_hardlink(struct unpack *u, const char *target, struct err *err)
{
    struct place from, at;
    struct stat st;
    bool hides;
    int r = path_clean(target, &u->target, err);
    if (!r && streq(u->target.ptr, u->path.ptr))
        return err_set(err, ERR_INVALID, "a hard link to itself");
    if (!r)
        r = clear_place(u, u->path.ptr, false, &at, &hides, err);
    if (!r)
        r = beneath_find(&u->at, u->target.ptr, false, &from, err);
    if (r < 0)
        return err_wrap(err, "hard link to '%.200s'", target);
    if (!u->target.len || fstatat(from.parent, from.name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
        !(S_ISREG(st.st_mode) || S_ISLNK(st.st_mode) || S_ISFIFO(st.st_mode)))
        return err_set(err, ERR_INVALID, "a hard link to '%.200s', which is no file of the archive",
                       target);
    /* Finding the place of the link may close the target's folder. */
    _cleanup_close_ int folder = fcntl(from.parent, F_DUPFD_CLOEXEC, 3);
    if (folder < 0)
        return err_errno(err, "opening the folder of '%.200s'", target);
    if ((r = beneath_find(&u->at, u->path.ptr, true, &at, err)) < 0)
        return r;
    if (linkat(folder, from.name, at.parent, at.name, 0) < 0)
        return err_errno(err, "making the hard link");
    return 0;
}

/* OCI image-spec 1.1 layer.md, "Whiteouts": ".wh.NAME" deletes NAME of the layers below, and
 * ".wh..wh..opq" all that is in its folder there. What this layer itself holds stays, whichever of
 * the two comes first. */
static int make_opaque(struct unpack *u, const struct place *at, struct err *err)
{
    struct stat st, root;
    if (fstat(at->parent, &st) < 0 || fstat(u->at.root, &root) < 0)
        return err_errno(err, "looking at its folder");
    if (st.st_ino == root.st_ino && st.st_dev == root.st_dev)
        return err_set(err, ERR_INVALID, "it would delete the whole root");
    return opaque_set(at->parent, err);
}

static int make_whiteout(struct unpack *u, struct archive_entry *e, struct err *err)
{
    struct place at;
    int r = beneath_find(&u->at, u->path.ptr, true, &at, err);
    if (r < 0)
        return r;
    if (archive_entry_filetype(e) != AE_IFREG || archive_entry_hardlink(e))
        return err_set(err, ERR_INVALID, "a whiteout that is not a file");
    if (streq(at.name, ".wh..wh..opq"))
        return make_opaque(u, &at, err);
    const char *name = at.name + 4;
    if (!*name || streq(name, ".") || streq(name, "..") || !strncmp(name, ".wh.", 4))
        return err_set(err, ERR_INVALID, "a whiteout of nothing that can be deleted");
    if (mknodat(at.parent, name, S_IFCHR, 0) == 0)
        return 0;
    if (errno != EEXIST)
        return err_errno(err, "making the whiteout");
    _cleanup_close_ int fd =
        openat(at.parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd >= 0 ? opaque_set(fd, err) : 0;
}

/* Whether a folder on the way has a name that only whiteouts may have. */
static bool under_whiteout(const char *path)
{
    const char *slash;
    for (; (slash = strchr(path, '/')); path = slash + 1)
        if (!strncmp(path, ".wh.", 4))
            return true;
    return false;
}

static int make_typed(struct unpack *u, struct archive_entry *e, struct err *err)
{
    switch (archive_entry_filetype(e)) {
    case AE_IFREG: return make_file(u, e, err);
    case AE_IFDIR: return make_folder(u, e, err);
    case AE_IFLNK: return make_symlink(u, e, err);
    case AE_IFIFO: return make_fifo(u, e, err);
    case AE_IFCHR:
    case AE_IFBLK: return err_set(err, ERR_INVALID, "device nodes are not allowed in an image");
    default: return err_set(err, ERR_INVALID, "neither file, folder, link nor pipe");
    }
}

int entry_make(struct unpack *u, struct archive_entry *e, struct err *err)
{
    const char *target = archive_entry_hardlink(e);
    const char *slash = strrchr(u->path.ptr, '/');
    const char *name = slash ? slash + 1 : u->path.ptr;
    if (!u->path.len && (target || archive_entry_filetype(e) != AE_IFDIR))
        return err_set(err, ERR_INVALID, "the root is a folder, nothing else");
    if (u->whiteouts && under_whiteout(u->path.ptr))
        return err_set(err, ERR_INVALID, "something below a whiteout");
    if (u->whiteouts && !strncmp(name, ".wh.", 4))
        return make_whiteout(u, e, err);
    return target ? make_hardlink(u, target, err) : make_typed(u, e, err);
}
