#include "image/bundle.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <locale.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/array.h"
#include "image/beneath.h"
#include "image/internal.h"
#include "image/stream.h"
#include "os/file.h"

enum { MEMBERS_MAX = 100000, LINKS_MAX = 8 };

struct member {
    char *name, *link; /* link: where a link leads, as a name of the bundle; or NULL */
    off_t offset;
    uint64_t size;
};

struct bundle {
    int fd; /* of the folder or the tar */
    bool folder;
    struct member *members; /* of the tar, in its order; the last of a name counts */
    size_t n;
};

void bundle_close(struct bundle *b)
{
    if (!b)
        return;
    for (size_t i = 0; i < b->n; i++) {
        free(b->members[i].name);
        free(b->members[i].link);
    }
    free(b->members);
    closep(&b->fd);
    free(b);
}

/* Where a link of the tar leads: a symbolic one from its folder, a hard one from the top. */
static char *resolve_link(const char *name, const char *target, bool symbolic)
{
    _cleanup_(strv_release) struct strv parts = {0};
    const char *slash = strrchr(name, '/');
    _cleanup_free_ char *whole = symbolic && target[0] != '/' && slash
                                     ? xasprintf("%.*s/%s", (int)(slash - name), name, target)
                                     : xstrdup(target);
    struct str rest = str_of(whole);
    while (rest.ptr) {
        struct str part = str_cut(&rest, '/');
        if (str_eq(part, STR(".."))) {
            if (parts.n)
                freep(&parts.items[--parts.n]);
        } else if (part.len && !str_eq(part, STR("."))) {
            strv_take(&parts, xstrndup(part.ptr, part.len));
        }
    }
    struct buf joined = BUF_INIT;
    for (size_t i = 0; i < parts.n; i++)
        buf_addf(&joined, "%s%s", i ? "/" : "", parts.items[i]);
    return buf_take(&joined);
}

static int add_member(struct bundle *b, struct archive *a, struct archive_entry *e, struct err *err)
{
    const char *path = archive_entry_pathname(e), *target = archive_entry_hardlink(e);
    bool symbolic = archive_entry_filetype(e) == AE_IFLNK;
    _cleanup_(buf_release) struct buf name = BUF_CAP(2 * PATH_MAX);
    if (symbolic)
        target = archive_entry_symlink(e);
    if (!target && archive_entry_filetype(e) != AE_IFREG)
        return 0;
    if (!path || archive_entry_sparse_count(e))
        return err_set(err, ERR_INVALID, "an entry that no image archive has");
    if (b->n == MEMBERS_MAX)
        return err_set(err, ERR_TOO_LARGE, "more than %d entries", MEMBERS_MAX);
    int r = path_clean(path, &name, err);
    if (r < 0)
        return r;
    struct member *m = array_add(b->members, b->n);
    *m = (struct member){.offset = archive_filter_bytes(a, 0),
                         .size = (uint64_t)archive_entry_size(e),
                         .name = buf_take(&name)};
    m->link = target ? resolve_link(m->name, target, symbolic) : NULL;
    return 0;
}

static int index_entries(struct bundle *b, struct archive *a, struct err *err)
{
    struct archive_entry *e;
    int got, r = 0;
    while (!r && (got = archive_read_next_header(a, &e)) == ARCHIVE_OK)
        r = add_member(b, a, e, err);
    if (!r && got != ARCHIVE_EOF)
        r = err_set(err, ERR_INVALID, "damaged archive: %s", archive_error_string(a));
    return r;
}

static int index_tar(struct bundle *b, struct err *err)
{
    struct archive *a = archive_read_new();
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (!a || !utf8)
        abort();
    locale_t before = uselocale(utf8);
    int r = 0;
    if (archive_read_support_format_tar(a) != ARCHIVE_OK ||
        archive_read_open_fd(a, b->fd, 64 << 10) != ARCHIVE_OK)
        r = err_set(err, ERR_INVALID, "not a tar archive: %s", archive_error_string(a));
    if (!r)
        r = index_entries(b, a, err);
    archive_read_free(a);
    uselocale(before);
    freelocale(utf8);
    return r;
}

/* Puts the decompressed archive in the place of b->fd. */
static int decompress(struct image_store *s, struct bundle *b, uint64_t max, struct err *err)
{
    struct stream_spec spec = {.fd = b->fd, .max = max};
    _cleanup_(stream_closep) struct stream *in = NULL;
    _cleanup_close_ int out = openat(s->tmp, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    if (out < 0)
        return err_errno(err, "making a file in %s/tmp", s->dir);
    int r = stream_open(&spec, &in, err);
    while (!r) {
        const void *block;
        ssize_t n = stream_next(in, &block, err);
        if (n == 0)
            break;
        r = n < 0 ? (int)n : fd_write_all(out, block, (size_t)n, err);
    }
    if (r < 0)
        return r;
    if (lseek(out, 0, SEEK_SET) < 0)
        return err_errno(err, "rewinding");
    close(b->fd);
    b->fd = TAKE_FD(out);
    return 0;
}

int bundle_open(struct image_store *s, const char *path, const struct unpack_limits *limits,
                struct bundle **ret, struct err *err)
{
    _cleanup_(bundle_closep) struct bundle *b = xcalloc(1, sizeof(*b));
    struct stat st;
    b->fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (b->fd < 0 || fstat(b->fd, &st) < 0)
        return err_errno(err, "opening %s", path);
    b->folder = S_ISDIR(st.st_mode);
    if (!b->folder && !S_ISREG(st.st_mode))
        return err_set(err, ERR_INVALID, "%s is neither a folder nor a file", path);
    /* All its layers together: as much as four of the largest. */
    uint64_t max = (limits && limits->bytes ? limits->bytes : (uint64_t)8 << 30) * 4;
    int r = 0;
    if (!b->folder && stream_compressed(b->fd, 0))
        r = decompress(s, b, max, err);
    if (!r && !b->folder)
        r = index_tar(b, err);
    if (r < 0)
        return err_wrap(err, "%s", path);
    *ret = TAKE_PTR(b);
    return 0;
}

static int find_file(struct bundle *b, const char *name, struct region *ret, struct err *err)
{
    struct open_how how = {.flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC,
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV};
    struct stat st;
    _cleanup_close_ int fd = (int)syscall(SYS_openat2, b->fd, name, &how, sizeof(how));
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_errno(err, "opening %.200s", name);
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_INVALID, "%.200s is not a file", name);
    *ret = (struct region){TAKE_FD(fd), 0, (uint64_t)st.st_size};
    return 0;
}

static const struct member *find_member(const struct bundle *b, const char *name)
{
    for (size_t i = b->n; i-- > 0;)
        if (streq(b->members[i].name, name))
            return &b->members[i];
    return NULL;
}

int bundle_find(struct bundle *b, const char *name, struct region *ret, struct err *err)
{
    if (b->folder)
        return find_file(b, name, ret, err);
    const struct member *m = find_member(b, name);
    for (int i = 0; m && m->link && i < LINKS_MAX; i++)
        m = find_member(b, m->link);
    if (!m || m->link)
        return err_set(err, ERR_NOT_FOUND, "the archive has no file %.200s", name);
    int fd = fcntl(b->fd, F_DUPFD_CLOEXEC, 3);
    if (fd < 0)
        return err_errno(err, "opening %.200s", name);
    *ret = (struct region){fd, m->offset, m->size};
    return 0;
}

int bundle_read(struct bundle *b, const char *name, size_t max, struct buf *ret, struct err *err)
{
    _cleanup_(region_release) struct region at = REGION_NONE;
    int r = bundle_find(b, name, &at, err);
    if (r < 0)
        return r;
    if (at.size > max)
        return err_set(err, ERR_TOO_LARGE, "%.200s is larger than %zu bytes", name, max);
    _cleanup_free_ char *bytes = xmalloc((size_t)at.size + 1);
    for (size_t done = 0; done < at.size;) {
        ssize_t n = TEMP_FAILURE_RETRY(
            pread(at.fd, bytes + done, (size_t)at.size - done, at.offset + (off_t)done));
        if (n <= 0)
            return n < 0 ? err_errno(err, "reading %.200s", name)
                         : err_set(err, ERR_INVALID, "%.200s is cut off", name);
        done += (size_t)n;
    }
    bytes[at.size] = '\0';
    buf_release(ret);
    *ret = (struct buf){TAKE_PTR(bytes), (size_t)at.size, (size_t)at.size + 1, max, false};
    return 0;
}
