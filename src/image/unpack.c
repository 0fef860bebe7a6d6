#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <locale.h>
#include <sys/stat.h>

#include "image/entry.h"
#include "image/recipe.h"
#include "image/unpack.h"

/* Decompressed bytes that an entry may take besides its content: headers and padding. */
enum { ENTRY_OVERHEAD = 4096, END_BLOCK = 512 };

static const struct unpack_limits default_limits = {.bytes = (uint64_t)32 << 30,
                                                    .entries = 4000000};

int unpack_failure(struct unpack *u, struct err *err)
{
    if (u->read_error.code)
        return err_set(err, u->read_error.code, "%s", u->read_error.msg);
    const char *why = archive_error_string(u->archive);
    return err_set(err, ERR_INVALID, "damaged archive: %s", why ? why : "unknown");
}

static bool all_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i])
            return false;
    return true;
}

/* The block that libarchive had is done with. */
static int pass_on(struct unpack *u, struct err *err)
{
    const uint8_t *block = u->current;
    size_t n = u->current_len;
    u->current_len = 0;
    if (n >= END_BLOCK)
        u->last_block_zero = all_zero(block + n - END_BLOCK, END_BLOCK);
    else
        u->last_block_zero = u->last_block_zero && all_zero(block, n);
    return u->recipe ? recipe_add(u->recipe, block, n, err) : 0;
}

static ssize_t feed(struct archive *a, void *ctx, const void **ret)
{
    struct unpack *u = ctx;
    ssize_t n = pass_on(u, &u->read_error);
    if (!n)
        n = stream_next(u->stream, &u->current, &u->read_error);
    if (n < 0) {
        archive_set_error(a, EIO, "%s", u->read_error.msg);
        return ARCHIVE_FATAL;
    }
    u->current_len = (size_t)n;
    *ret = u->current;
    return n;
}

/* What stands behind the archive's end. */
static int drain(struct unpack *u, struct err *err)
{
    int r;
    while (!(r = pass_on(u, err))) {
        ssize_t n = stream_next(u->stream, &u->current, err);
        if (n <= 0)
            return (int)n;
        u->current_len = (size_t)n;
    }
    return r;
}

static int open_archive(struct unpack *u, struct err *err)
{
    u->archive = archive_read_new();
    if (!u->archive || archive_read_support_format_tar(u->archive) != ARCHIVE_OK)
        return err_set(err, ERR_INTERNAL, "libarchive can't be used");
    if (archive_read_open(u->archive, u, NULL, feed, NULL) != ARCHIVE_OK)
        return unpack_failure(u, err);
    return 0;
}

/* Names come from outside and go to terminals and logs. */
static void printable(const char *name, char ret[256])
{
    size_t n = 0;
    for (; *name && n < 250; name++)
        ret[n++] = (unsigned char)*name < ' ' || *name == 0x7f ? '?' : *name;
    if (*name)
        for (int i = 0; i < 3; i++)
            ret[n++] = '.';
    ret[n] = '\0';
}

static int next_entry(struct unpack *u, struct archive_entry *e, struct err *err)
{
    const char *name = archive_entry_pathname(e);
    char shown[256];
    printable(name ? name : "(no name)", shown);
    int r = 0;
    if (++u->entries > u->limits.entries)
        return err_set(err, ERR_TOO_LARGE, "the archive has more than %llu entries",
                       (unsigned long long)u->limits.entries);
    int64_t size = archive_entry_size(e);
    bool mebi = u->limits.bytes % (1 << 20) == 0;
    if (size < 0 || (uint64_t)size > u->limits.bytes - u->bytes)
        r = err_set(err, ERR_TOO_LARGE, "unpacked, the archive has more than %llu %s",
                    (unsigned long long)(mebi ? u->limits.bytes >> 20 : u->limits.bytes),
                    mebi ? "MiB" : "bytes");
    else if (!name)
        r = err_set(err, ERR_INVALID, "no name");
    else
        r = path_clean(name, &u->path, err);
    if (!r) {
        u->bytes += (uint64_t)size;
        r = entry_make(u, e, err);
    }
    return r < 0 ? err_wrap(err, "entry '%s'", shown) : 0;
}

static int read_entries(struct unpack *u, struct err *err)
{
    struct archive_entry *e;
    for (;;) {
        int got = archive_read_next_header(u->archive, &e);
        if (got == ARCHIVE_EOF)
            return 0;
        if (got == ARCHIVE_RETRY)
            continue;
        /* A warning means a name or link that could not be read as it is. */
        if (got != ARCHIVE_OK)
            return unpack_failure(u, err);
        int r = next_entry(u, e, err);
        if (r < 0)
            return r;
    }
}

static int set_folder_times(struct unpack *u, struct err *err)
{
    for (size_t i = u->folders_n; i-- > 0;) {
        struct place at;
        struct timespec times[2] = {u->folders[i].mtime, u->folders[i].mtime};
        /* A later entry may have put something else in its place: then it is not there. */
        if (beneath_find(&u->at, u->folders[i].path, false, &at, NULL) < 0)
            continue;
        _cleanup_close_ int fd =
            openat(at.parent, at.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0 && futimens(fd, times) < 0)
            return err_errno(err, "setting the time of %s", u->folders[i].path);
    }
    return 0;
}

static void release(struct unpack *u)
{
    archive_read_free(u->archive);
    stream_close(u->stream);
    beneath_release(&u->at);
    beneath_release(&u->like);
    closep(&u->at.root);
    closep(&u->like.root);
    for (size_t i = 0; i < u->folders_n; i++)
        free(u->folders[i].path);
    free(u->folders);
    buf_release(&u->path);
    buf_release(&u->target);
    free(u->block);
}

static int open_folders(struct unpack *u, const struct unpack_job *job, struct err *err)
{
    u->at.root = open(job->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (u->at.root < 0)
        return err_errno(err, "opening %s", job->dir);
    if (!job->like)
        return 0;
    u->like.root = open(job->like, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return u->like.root < 0 ? err_errno(err, "opening %s", job->like) : 0;
}

static int run(struct unpack *u, const struct unpack_job *job, struct err *err)
{
    struct stream_spec spec = job->source;
    uint64_t overhead = (MIN(u->limits.entries, UINT64_MAX >> 20) + 256) * ENTRY_OVERHEAD;
    if (__builtin_add_overflow(u->limits.bytes, overhead, &spec.max))
        spec.max = UINT64_MAX;
    int r = open_folders(u, job, err);
    if (!r)
        r = stream_open(&spec, &u->stream, err);
    if (!r)
        r = open_archive(u, err);
    if (!r)
        r = read_entries(u, err);
    if (!r)
        r = drain(u, err);
    if (!r)
        r = stream_finish(u->stream, err);
    /* Where a digest vouches for the whole, the marker may be missing: some tools forget it. */
    if (!r && !u->last_block_zero && !spec.diff_id && !spec.digest)
        r = err_set(err, ERR_INVALID, "the archive is cut off: its end marker is missing");
    return r < 0 ? r : set_folder_times(u, err);
}

int unpack_run(struct image_store *s, const struct unpack_job *job, struct unpack_result *ret,
               struct err *err)
{
    struct unpack u = {.store = s,
                       .whiteouts = job->whiteouts,
                       .limits = default_limits,
                       .recipe = job->recipe,
                       .at = BENEATH_INIT(-1, s->uid_base),
                       .like = BENEATH_INIT(-1, 0),
                       .path = BUF_CAP(2 * PATH_MAX),
                       .target = BUF_CAP(2 * PATH_MAX)};
    if (job->limits && job->limits->bytes)
        u.limits.bytes = job->limits->bytes;
    if (job->limits && job->limits->entries)
        u.limits.entries = job->limits->entries;
    u.limits.hint = job->limits ? job->limits->hint : NULL;
    u.limits.owner = job->limits ? job->limits->owner : 0;
    u.at.owner += u.limits.owner;
    /* libarchive takes names through the locale; in "C" it would replace what is not ASCII. */
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (!utf8)
        return err_errno(err, "there is no locale C.UTF-8");
    locale_t before = uselocale(utf8);
    int r = run(&u, job, err);
    if (r == -ERR_TOO_LARGE && u.limits.hint)
        err_hint(err, "%s", u.limits.hint);
    if (!r)
        *ret = (struct unpack_result){stream_bytes(u.stream), u.entries, !u.replaced};
    release(&u);
    uselocale(before);
    freelocale(utf8);
    return r;
}

int image_unpack(struct image_store *s, int fd, const char *dir, bool whiteouts, const char *like,
                 const struct unpack_limits *limits, struct err *err)
{
    struct unpack_job job = {
        .source = {.fd = fd}, .dir = dir, .like = like, .whiteouts = whiteouts, .limits = limits};
    struct unpack_result unused;
    int r = unpack_run(s, &job, &unused, err);
    return r < 0 ? err_wrap(err, "unpacking") : 0;
}
