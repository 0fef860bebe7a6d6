#include "image/recipe.h"

#include <archive.h>
#include <archive_entry.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "base/array.h"
#include "image/beneath.h"

enum { CHUNK = 128 << 10, RAW_MAX = 1 << 20 };

struct expected {
    uint64_t offset, len;
    char *path;
};

struct recipe {
    struct archive *out;
    uint64_t at;    /* bytes of tar so far */
    struct buf raw; /* those of them not yet written */
    struct expected *files;
    size_t first, n; /* files[first] … files[n - 1] are still to come */
};

/* libarchive's failure to write or read a recipe: ours to name. */
static int failure(struct archive *a, const char *what, struct err *err)
{
    errno = archive_errno(a);
    if (errno == ENOSPC || errno == EDQUOT || errno == EIO)
        return err_errno(err, "%s", what);
    const char *why = archive_error_string(a);
    return err_set(err, ERR_IO, "%s: %s", what, why ? why : "failed");
}

int recipe_new(int fd, struct recipe **ret, struct err *err)
{
    _cleanup_(recipe_freep) struct recipe *r = xcalloc(1, sizeof(*r));
    r->raw = BUF_CAP(RAW_MAX);
    r->out = archive_write_new();
    struct archive_entry *whole = archive_entry_new();
    if (!r->out || !whole)
        abort();
    archive_entry_set_filetype(whole, AE_IFREG);
    archive_entry_set_pathname(whole, "recipe");
    bool ok = archive_write_set_format_raw(r->out) == ARCHIVE_OK &&
              archive_write_add_filter_zstd(r->out) == ARCHIVE_OK &&
              archive_write_set_options(r->out, "zstd:compression-level=1") == ARCHIVE_OK &&
              archive_write_open_fd(r->out, fd) == ARCHIVE_OK &&
              archive_write_header(r->out, whole) == ARCHIVE_OK;
    archive_entry_free(whole);
    if (!ok)
        return failure(r->out, "writing a recipe", err);
    *ret = TAKE_PTR(r);
    return 0;
}

void recipe_free(struct recipe *r)
{
    if (!r)
        return;
    archive_write_free(r->out);
    for (size_t i = r->first; i < r->n; i++)
        free(r->files[i].path);
    free(r->files);
    buf_release(&r->raw);
    free(r);
}

void recipe_expect(struct recipe *r, uint64_t offset, uint64_t len, const char *path)
{
    if (r->first == r->n)
        r->first = r->n = 0;
    *array_add(r->files, r->n) = (struct expected){offset, len, xstrdup(path)};
}

static int put(struct recipe *r, const void *data, size_t n, struct err *err)
{
    if (archive_write_data(r->out, data, n) != (ssize_t)n)
        return failure(r->out, "writing a recipe", err);
    return 0;
}

static int flush_raw(struct recipe *r, struct err *err)
{
    uint32_t len = htole32((uint32_t)r->raw.len);
    if (!r->raw.len)
        return 0;
    int e = put(r, "R", 1, err);
    if (!e)
        e = put(r, &len, sizeof(len), err);
    if (!e)
        e = put(r, r->raw.ptr, r->raw.len, err);
    buf_reset(&r->raw);
    return e;
}

static int add_raw(struct recipe *r, const char *data, size_t n, struct err *err)
{
    int e = r->raw.len + n > RAW_MAX ? flush_raw(r, err) : 0;
    buf_add(&r->raw, data, n);
    return e;
}

static int put_file(struct recipe *r, const struct expected *f, struct err *err)
{
    uint64_t size = htole64(f->len);
    uint16_t len = htole16((uint16_t)strlen(f->path));
    int e = flush_raw(r, err);
    if (!e)
        e = put(r, "F", 1, err);
    if (!e)
        e = put(r, &size, sizeof(size), err);
    if (!e)
        e = put(r, &len, sizeof(len), err);
    return e < 0 ? e : put(r, f->path, strlen(f->path), err);
}

int recipe_add(struct recipe *r, const void *data, size_t n, struct err *err)
{
    const char *p = data;
    int e = 0;
    while (n && !e) {
        struct expected *f = r->first < r->n ? &r->files[r->first] : NULL;
        size_t some = n;
        if (f && r->at >= f->offset) {
            uint64_t left = f->offset + f->len - r->at;
            if (r->at == f->offset)
                e = put_file(r, f, err);
            some = (size_t)MIN(left, (uint64_t)n);
            if (some == left) {
                free(f->path);
                r->first++;
            }
        } else {
            some = f ? (size_t)MIN(f->offset - r->at, (uint64_t)n) : n;
            some = MIN(some, (size_t)RAW_MAX);
            e = add_raw(r, p, some, err);
        }
        p += some;
        n -= some;
        r->at += some;
    }
    return e;
}

int recipe_finish(struct recipe *r, struct err *err)
{
    int e = flush_raw(r, err);
    if (!e && archive_write_close(r->out) != ARCHIVE_OK)
        e = failure(r->out, "writing a recipe", err);
    return e;
}

/* All of `n` bytes, or 1 at the end of the recipe, or -code. */
static int get(struct archive *in, void *to, size_t n, struct err *err)
{
    size_t done = 0;
    while (done < n) {
        ssize_t some = archive_read_data(in, (char *)to + done, n - done);
        if (some < 0)
            return failure(in, "reading a recipe", err);
        if (some == 0)
            return done ? err_set(err, ERR_IO, "a recipe is cut off") : 1;
        done += (size_t)some;
    }
    return 0;
}

static int damaged(struct err *err) { return err_set(err, ERR_IO, "a recipe is damaged"); }

static int copy_raw(struct archive *in, const struct tar_sink *sink, char *chunk, struct err *err)
{
    uint32_t left;
    int r = get(in, &left, sizeof(left), err);
    left = le32toh(left);
    while (!r && left) {
        size_t n = MIN(left, (uint32_t)CHUNK);
        r = get(in, chunk, n, err);
        if (!r)
            r = sink->write(sink->ctx, chunk, n, err);
        left -= (uint32_t)n;
    }
    return r == 1 ? damaged(err) : r;
}

static int copy_file(struct beneath *layer, const char *path, uint64_t left,
                     const struct tar_sink *sink, char *chunk, struct err *err)
{
    struct place at;
    int r = beneath_find(layer, path, false, &at, NULL);
    _cleanup_close_ int fd =
        r < 0 ? -1 : openat(at.parent, at.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, ERR_IO, "its file '%.200s' can't be opened", path);
    while (!r && left) {
        ssize_t n = TEMP_FAILURE_RETRY(read(fd, chunk, (size_t)MIN(left, (uint64_t)CHUNK)));
        if (n < 0)
            return err_errno(err, "reading '%.200s'", path);
        if (n == 0)
            return err_set(err, ERR_IO, "'%.200s' is shorter than it was", path);
        r = sink->write(sink->ctx, chunk, (size_t)n, err);
        left -= (uint64_t)n;
    }
    return r;
}

static int copy_piece(struct archive *in, char tag, struct beneath *layer,
                      const struct tar_sink *sink, char *chunk, struct err *err)
{
    uint64_t size;
    uint16_t len;
    char path[PATH_MAX];
    if (tag == 'R')
        return copy_raw(in, sink, chunk, err);
    if (tag != 'F' || get(in, &size, sizeof(size), err) || get(in, &len, sizeof(len), err) ||
        le16toh(len) >= sizeof(path) || get(in, path, le16toh(len), err))
        return damaged(err);
    path[le16toh(len)] = '\0';
    return copy_file(layer, path, le64toh(size), sink, chunk, err);
}

static int open_recipe(int fd, struct archive **ret, struct err *err)
{
    struct archive *in = archive_read_new();
    struct archive_entry *whole;
    if (!in)
        abort();
    *ret = in;
    if (archive_read_append_filter(in, ARCHIVE_FILTER_ZSTD) != ARCHIVE_OK ||
        archive_read_support_format_raw(in) != ARCHIVE_OK ||
        archive_read_open_fd(in, fd, CHUNK) != ARCHIVE_OK ||
        archive_read_next_header(in, &whole) != ARCHIVE_OK)
        return failure(in, "reading a recipe", err);
    return 0;
}

int recipe_tar(int fd, int dir, const struct tar_sink *sink, struct err *err)
{
    struct archive *in = NULL;
    struct beneath layer = BENEATH_INIT(dir, 0);
    _cleanup_free_ char *chunk = xmalloc(CHUNK);
    char tag;
    int r = open_recipe(fd, &in, err);
    while (!r && !(r = get(in, &tag, 1, err)))
        r = copy_piece(in, tag, &layer, sink, chunk, err);
    archive_read_free(in);
    beneath_release(&layer);
    return r == 1 ? 0 : r;
}
