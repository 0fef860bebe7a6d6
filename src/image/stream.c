#include "image/stream.h"

#include <archive.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include "image/internal.h"

enum { BLOCK = 256 << 10, SLOTS = 4, MAGIC_LEN = 6 };

struct slot {
    uint8_t *data;
    size_t len;
};

struct stream {
    struct stream_spec spec;
    uint64_t left;       /* stored bytes still to be read, where spec.size is set */
    bool regular;        /* reading never blocks for long */
    uint8_t *in;         /* BLOCK stored bytes */
    size_t peeked;       /* of them read while looking for the kind of compression */
    struct archive *raw; /* NULL: not compressed */
    struct sha256_ctx stored, plain;
    uint64_t out; /* decompressed bytes so far */

    uint64_t taken; /* bytes handed to the reader */
    bool threaded;
    pthread_t thread;
    int stop_event;
    struct err failure; /* why the input ended; the thread's until `ended` */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    struct slot slots[SLOTS];
    size_t made, used; /* slots filled and given back, ever */
    bool holding;      /* the reader has slots[used % SLOTS] */
    bool ended, stop;
};

/* Waits until there is something to read; -ERR_CANCELLED when the reader gave up. */
static int await_input(struct stream *s, struct err *err)
{
    struct pollfd p[2] = {{s->spec.fd, POLLIN, 0}, {s->stop_event, POLLIN, 0}};
    if (s->regular)
        return 0;
    while (poll(p, 2, -1) < 0)
        if (errno != EINTR)
            return err_errno(err, "waiting for the archive");
    return p[1].revents ? err_set(err, ERR_CANCELLED, "cancelled") : 0;
}

/* Reads stored bytes into `to`; 0 at the end. */
static ssize_t read_stored(struct stream *s, uint8_t *to, size_t max, struct err *err)
{
    size_t want = s->spec.size ? MIN((uint64_t)max, s->left) : max;
    int r = want ? await_input(s, err) : 0;
    if (r < 0 || !want)
        return r;
    ssize_t n = s->spec.size ? TEMP_FAILURE_RETRY(pread(s->spec.fd, to, want, s->spec.offset))
                             : TEMP_FAILURE_RETRY(read(s->spec.fd, to, want));
    if (n < 0)
        return err_errno(err, "reading the archive");
    if (n == 0 && s->spec.size)
        return err_set(err, ERR_INVALID, "the archive is cut off");
    s->left -= s->spec.size ? (uint64_t)n : 0;
    s->spec.offset += n;
    if (s->spec.digest)
        sha256_update(&s->stored, (size_t)n, to);
    return n;
}

/* Enough of the beginning to know what it is. */
static int peek(struct stream *s, struct err *err)
{
    while (s->peeked < MAGIC_LEN) {
        ssize_t n = read_stored(s, s->in + s->peeked, BLOCK - s->peeked, err);
        if (n < 0)
            return (int)n;
        if (n == 0)
            break;
        s->peeked += (size_t)n;
    }
    return 0;
}

static size_t take(size_t *n)
{
    size_t was = *n;
    *n = 0;
    return was;
}

static ssize_t feed(struct archive *a, void *ctx, const void **ret)
{
    struct stream *s = ctx;
    *ret = s->in;
    if (s->peeked)
        return (ssize_t)take(&s->peeked);
    ssize_t n = read_stored(s, s->in, BLOCK, &s->failure);
    if (n < 0)
        archive_set_error(a, EIO, "%s", s->failure.msg);
    return n < 0 ? ARCHIVE_FATAL : n;
}

static int filter_for(const uint8_t *magic, size_t len)
{
    static const struct {
        const char *magic;
        size_t len;
        int filter;
    } known[] = {{"\x1f\x8b", 2, ARCHIVE_FILTER_GZIP},
                 {"\x28\xb5\x2f\xfd", 4, ARCHIVE_FILTER_ZSTD},
                 {"\xfd"
                  "7zXZ\0",
                  6, ARCHIVE_FILTER_XZ},
                 {"BZh", 3, ARCHIVE_FILTER_BZIP2}};
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (len >= known[i].len && !memcmp(magic, known[i].magic, known[i].len))
            return known[i].filter;
    return ARCHIVE_FILTER_NONE;
}

bool stream_compressed(int fd, off_t offset)
{
    uint8_t magic[MAGIC_LEN];
    ssize_t n = TEMP_FAILURE_RETRY(pread(fd, magic, sizeof(magic), offset));
    return n > 0 && filter_for(magic, (size_t)n) != ARCHIVE_FILTER_NONE;
}

/* Exactly one filter: an archive in an archive in an archive is not a layer. */
static int open_filter(struct stream *s, int filter, struct err *err)
{
    s->raw = archive_read_new();
    struct archive_entry *whole;
    if (!s->raw || archive_read_append_filter(s->raw, filter) != ARCHIVE_OK ||
        archive_read_support_format_raw(s->raw) != ARCHIVE_OK ||
        archive_read_support_format_empty(s->raw) != ARCHIVE_OK)
        return err_set(err, ERR_INTERNAL, "libarchive: %s",
                       s->raw ? archive_error_string(s->raw) : "out of memory");
    if (archive_read_open(s->raw, s, NULL, feed, NULL) == ARCHIVE_OK) {
        int r = archive_read_next_header(s->raw, &whole);
        if (r == ARCHIVE_OK || r == ARCHIVE_EOF)
            return 0;
    }
    if (s->failure.code)
        return err_set(err, s->failure.code, "%s", s->failure.msg);
    return err_set(err, ERR_INVALID, "decompressing: %s", archive_error_string(s->raw));
}

/* Decompressed bytes into `to`; 0 at the end. */
static ssize_t read_plain(struct stream *s, uint8_t *to, struct err *err)
{
    ssize_t n;
    if (s->raw) {
        n = archive_read_data(s->raw, to, BLOCK);
        if (n < 0)
            return s->failure.code
                       ? err_set(err, s->failure.code, "%s", s->failure.msg)
                       : err_set(err, ERR_INVALID, "decompressing: %s",
                                 archive_error_string(s->raw) ? archive_error_string(s->raw)
                                                              : "damaged");
    } else if (s->peeked) {
        n = (ssize_t)take(&s->peeked);
        memcpy(to, s->in, (size_t)n);
    } else {
        n = read_stored(s, to, BLOCK, err);
    }
    if (n <= 0)
        return n;
    s->out += (uint64_t)n;
    if (s->out > s->spec.max)
        return err_set(err, ERR_TOO_LARGE, "the archive holds more than %llu bytes",
                       (unsigned long long)s->spec.max);
    if (s->spec.diff_id)
        sha256_update(&s->plain, (size_t)n, to);
    return n;
}

/* What stands behind the compressed data belongs to the digest too. */
static int read_tail(struct stream *s, struct err *err)
{
    ssize_t n = 1;
    while (s->spec.digest && n > 0)
        n = read_stored(s, s->in, BLOCK, err);
    return n < 0 ? (int)n : 0;
}

static int check(struct sha256_ctx *c, const char *want, const char *what, struct err *err)
{
    char found[DIGEST_LEN + 1];
    digest_finish(c, found);
    if (streq(found, want))
        return 0;
    return err_set(err, ERR_INVALID, "wrong digest: %s is %s, not %s as promised", what, found,
                   want);
}

static int check_digests(struct stream *s, struct err *err)
{
    int r = 0;
    if (s->spec.digest)
        r = check(&s->stored, s->spec.digest, "the stored layer", err);
    if (!r && s->spec.diff_id)
        r = check(&s->plain, s->spec.diff_id, "the unpacked tar", err);
    return r;
}

/* The next slot to fill, or NULL when the reader gave up. */
static struct slot *free_slot(struct stream *s)
{
    pthread_mutex_lock(&s->lock);
    while (!s->stop && s->made - s->used == SLOTS)
        pthread_cond_wait(&s->changed, &s->lock);
    struct slot *slot = s->stop ? NULL : &s->slots[s->made % SLOTS];
    pthread_mutex_unlock(&s->lock);
    return slot;
}

static void *produce(void *arg)
{
    struct stream *s = arg;
    struct err why = {0};
    ssize_t n = 1;
    while (n > 0) {
        struct slot *slot = free_slot(s);
        if (!slot)
            break;
        n = read_plain(s, slot->data, &why);
        if (n == 0)
            n = read_tail(s, &why);
        pthread_mutex_lock(&s->lock);
        if (n > 0) {
            slot->len = (size_t)n;
            s->made++;
        }
        pthread_cond_signal(&s->changed);
        pthread_mutex_unlock(&s->lock);
    }
    pthread_mutex_lock(&s->lock);
    s->failure = why;
    s->ended = true;
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static int start_thread(struct stream *s, struct err *err)
{
    for (size_t i = 0; i < SLOTS; i++)
        s->slots[i].data = xmalloc(BLOCK);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    errno = pthread_create(&s->thread, NULL, produce, s);
    s->threaded = !errno;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return s->threaded ? 0 : err_errno(err, "starting a thread");
}

int stream_open(const struct stream_spec *spec, struct stream **ret, struct err *err)
{
    _cleanup_(stream_closep) struct stream *s = xcalloc(1, sizeof(*s));
    s->spec = *spec;
    s->left = spec->size;
    s->stop_event = -1;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    sha256_init(&s->stored);
    sha256_init(&s->plain);
    s->in = xmalloc(BLOCK);
    struct stat st;
    if ((s->stop_event = eventfd(0, EFD_CLOEXEC)) < 0 || fstat(spec->fd, &st) < 0)
        return err_errno(err, "opening the archive");
    s->regular = S_ISREG(st.st_mode);
    int r = peek(s, err);
    int filter = filter_for(s->in, s->peeked);
    if (!r && filter != ARCHIVE_FILTER_NONE)
        r = open_filter(s, filter, err);
    /* Nothing to hash nor to decompress: a thread would only copy. */
    if (!r && (s->raw || spec->digest || spec->diff_id))
        r = start_thread(s, err);
    if (!r)
        *ret = TAKE_PTR(s);
    return r;
}

static ssize_t next_slot(struct stream *s, const void **ret, struct err *err)
{
    pthread_mutex_lock(&s->lock);
    if (s->holding) {
        s->used++;
        s->holding = false;
        pthread_cond_signal(&s->changed);
    }
    while (!s->ended && s->made == s->used)
        pthread_cond_wait(&s->changed, &s->lock);
    s->holding = s->made > s->used;
    struct slot *slot = s->holding ? &s->slots[s->used % SLOTS] : NULL;
    pthread_mutex_unlock(&s->lock);
    if (slot) {
        *ret = slot->data;
        return (ssize_t)slot->len;
    }
    return s->failure.code ? err_set(err, s->failure.code, "%s", s->failure.msg) : 0;
}

ssize_t stream_next(struct stream *s, const void **ret, struct err *err)
{
    ssize_t n = image_interrupted(err);
    if (n < 0)
        return n;
    if (s->threaded) {
        n = next_slot(s, ret, err);
    } else if (s->peeked) {
        n = (ssize_t)take(&s->peeked);
        *ret = s->in;
        s->out += (uint64_t)n;
    } else {
        n = read_plain(s, s->in, err);
        *ret = s->in;
    }
    s->taken += n > 0 ? (uint64_t)n : 0;
    return n;
}

uint64_t stream_bytes(const struct stream *s) { return s->taken; }

int stream_finish(struct stream *s, struct err *err)
{
    const void *unused;
    ssize_t n;
    while ((n = stream_next(s, &unused, err)) > 0)
        ;
    return n < 0 ? (int)n : check_digests(s, err);
}

void stream_close(struct stream *s)
{
    if (!s)
        return;
    if (s->threaded) {
        pthread_mutex_lock(&s->lock);
        s->stop = true;
        pthread_cond_signal(&s->changed);
        pthread_mutex_unlock(&s->lock);
        eventfd_write(s->stop_event, 1);
        pthread_join(s->thread, NULL);
    }
    archive_read_free(s->raw);
    for (size_t i = 0; i < SLOTS; i++)
        free(s->slots[i].data);
    free(s->in);
    closep(&s->stop_event);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
