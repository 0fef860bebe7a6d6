#include "gateway/log.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/time.h"
#include "gateway/errors.h"
#include "gateway/state.h"
#include "os/file.h"

#define PIPE_FILE "log.fifo"
enum {
    PIPE_SIZE = 1 << 20, /* what an unprivileged user may have */
    CHUNK = 64 * 1024,   /* read at once */
    LINE_MAX_LEN = 8192, /* of the final form */
    OPEN_MAX = 200,      /* files kept open */
};

/* --- the pipe -------------------------------------------------------------------------------- */

static int open_pipe(int dir_fd, int flags, struct err *err)
{
    if (mkfifoat(dir_fd, PIPE_FILE, 0600) < 0 && errno != EEXIST)
        return err_errno(err, "making %s", PIPE_FILE);
    int fd = openat(dir_fd, PIPE_FILE, flags | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, "opening %s", PIPE_FILE);
    fcntl(fd, F_SETPIPE_SZ, PIPE_SIZE);
    return fd;
}

int log_pipe_for_writer(int dir_fd, struct err *err) { return open_pipe(dir_fd, O_RDWR, err); }
int log_pipe_for_reader(int dir_fd, struct err *err) { return open_pipe(dir_fd, O_RDWR, err); }

/* --- a line ---------------------------------------------------------------------------------- */

/* In the order of conf.c's LOG_FORMAT. */
enum field {
    F_APP,
    F_END,
    F_STATUS,
    F_BACKEND,
    F_SERVER,
    F_METHOD,
    F_HOST,
    F_ID,
    F_CLIENT,
    F_CONNECT,
    F_RESPONSE,
    F_DATA,
    F_BYTES,
    F_VERSION,
    F_TLS,
    F_PATH,
    FIELDS
};

/* How a request ended, in HAProxy's two letters (configuration.txt, 8.5): who ended it, and when.
 * '*' is any. The first that fits counts. */
static const struct {
    char who, when;
    enum gateway_error error;
} endings[] = {
    {'s', 'H', GATEWAY_H12}, {'s', 'C', GATEWAY_H19}, {'S', 'C', GATEWAY_H21},
    {'S', 'H', GATEWAY_H13}, {'P', 'H', GATEWAY_H13}, {'S', '*', GATEWAY_H18},
    {'K', '*', GATEWAY_H18}, {'D', '*', GATEWAY_H18}, {'s', '*', GATEWAY_H15},
    {'c', 'D', GATEWAY_H15}, {'C', '*', GATEWAY_H27}, {'c', '*', GATEWAY_H27},
    {'R', '*', GATEWAY_H99}, {'I', '*', GATEWAY_H99},
};

static enum gateway_error ending(const struct str f[FIELDS])
{
    for (int e = GATEWAY_OK + 1; *f[F_BACKEND].ptr == 'H' && e <= GATEWAY_H99; e++) {
        struct str code = str_of(gateway_error_code((enum gateway_error)e));
        if (str_eq(f[F_BACKEND], code))
            return (enum gateway_error)e;
    }
    char who = f[F_END].ptr[0], when = f[F_END].ptr[1];
    /* Either side may hang up on a WebSocket. */
    if (str_eq(f[F_STATUS], STR("101")) && (who == 'C' || who == 'S'))
        return GATEWAY_OK;
    for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
        if (who == endings[i].who && (when == endings[i].when || endings[i].when == '*'))
            return endings[i].error;
    }
    return GATEWAY_OK;
}

static int64_t number(struct str s)
{
    uint64_t n;
    return str_to_u64(s, 0, INT64_MAX / 4, &n, NULL) < 0 ? -1 : (int64_t)n;
}

static void add_number(struct buf *b, int64_t n)
{
    char digits[20], *p = digits + sizeof(digits);
    do
        *--p = (char)('0' + n % 10);
    while (n /= 10);
    buf_add(b, p, (size_t)(digits + sizeof(digits) - p));
}

/* Negative: it never came to that. */
static void add_ms(struct buf *b, int64_t ms)
{
    if (ms < 0)
        return;
    add_number(b, ms);
    buf_adds(b, "ms");
}

static void add_str(struct buf *b, struct str s) { buf_add(b, s.ptr, s.len); }

static void add_protocol(struct buf *b, struct str version, struct str tls)
{
    if (str_starts(version, STR("HTTP/")))
        version.ptr += 5, version.len -= 5;
    if (version.len > 2 && version.ptr[0] >= '2') /* "2.0" is called 2 */
        version.len = 1;
    buf_adds(b, " protocol=http");
    add_str(b, version);
    if (!str_starts(tls, STR("TLSv"))) {
        buf_adds(b, " tls=false");
        return;
    }
    buf_addf(b, " tls=true tls_version=tls%.*s", (int)tls.len - 4, tls.ptr + 4);
}

/* In HTTP/2 it is the whole URL. Quotes and control characters come escaped from HAProxy. */
static struct str path_of(struct str url)
{
    if (!url.len || *url.ptr == '/')
        return url;
    const char *authority = memmem(url.ptr, url.len, "://", 3);
    if (!authority)
        return url;
    authority += 3;
    const char *path = memchr(authority, '/', (size_t)(url.ptr + url.len - authority));
    return path ? (struct str){path, (size_t)(url.ptr + url.len - path)} : STR("/");
}

static bool split(struct str raw, struct str f[FIELDS])
{
    for (int i = 0; i < FIELDS; i++) {
        if (!raw.ptr)
            return false;
        f[i] = i + 1 < FIELDS ? str_cut(&raw, '\t') : raw;
    }
    return f[F_END].len >= 2 && f[F_BACKEND].len && f[F_APP].len && !str_eq(f[F_APP], STR("-"));
}

/* 499 is what nginx calls a client that went away; no status at all is our failure. HAProxy logs
 * its own 502 and 504 when it sends the pages of H13 and H12, which are 503. */
static int64_t status_of(const struct str f[FIELDS], enum gateway_error e)
{
    int64_t status = number(f[F_STATUS]);
    if (e == GATEWAY_H12 || e == GATEWAY_H13)
        return 503;
    return status > 0 ? status : e == GATEWAY_H27 ? 499 : 503;
}

static int64_t service_of(const struct str f[FIELDS])
{
    int64_t first_byte = number(f[F_RESPONSE]), rest = number(f[F_DATA]);
    return first_byte < 0 ? -1 : first_byte + MAX(rest, (int64_t)0);
}

static void add_outcome(struct buf *b, enum gateway_error e)
{
    if (e)
        buf_addf(b, " davit[router]: at=error code=%s desc=\"%s\" method=", gateway_error_code(e),
                 gateway_error_text(e));
    else
        buf_adds(b, " davit[router]: at=info method=");
}

bool log_format_line(struct str raw, const char *when, struct str *ret_app, struct buf *b)
{
    struct str f[FIELDS], app, process = {0}, id;
    if (!split(raw, f))
        return false;
    server_name_parts(f[F_SERVER], &app, &process, &id);
    enum gateway_error e = ending(f);
    buf_adds(b, when);
    add_outcome(b, e);
    add_str(b, f[F_METHOD]);
    buf_adds(b, " path=\"");
    add_str(b, path_of(f[F_PATH]));
    buf_adds(b, "\" host=");
    add_str(b, f[F_HOST]);
    buf_adds(b, " request_id=");
    add_str(b, f[F_ID]);
    buf_adds(b, " fwd=\"");
    add_str(b, f[F_CLIENT]);
    buf_adds(b, "\" dyno=");
    add_str(b, process);
    buf_adds(b, " connect=");
    add_ms(b, number(f[F_CONNECT]));
    buf_adds(b, " service=");
    add_ms(b, service_of(f));
    buf_adds(b, " status=");
    add_number(b, status_of(f, e));
    buf_adds(b, " bytes=");
    add_str(b, f[F_BYTES]);
    add_protocol(b, f[F_VERSION], f[F_TLS]);
    buf_addc(b, '\n');
    *ret_app = f[F_APP];
    return true;
}

/* --- files ----------------------------------------------------------------------------------- */

struct sink {
    char *app;
    int fd;
    int64_t size;
    bool failing; /* said so already */
    struct buf pending;
};

struct router_log {
    const struct config *config;
    int pipe_fd;
    struct sink *sinks;
    size_t n, room;
    size_t last; /* the one written to last: lines of an app come in runs */
    struct buf partial;
};

struct router_log *router_log_new(const struct config *c, int pipe_fd)
{
    struct router_log *l = xcalloc(1, sizeof(*l));
    *l = (struct router_log){.config = c, .pipe_fd = pipe_fd, .partial = BUF_CAP(2 * CHUNK)};
    return l;
}

static void sink_release(struct sink *s)
{
    closep(&s->fd);
    free(s->app);
    buf_release(&s->pending);
}

void router_log_free(struct router_log *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->n; i++)
        sink_release(&l->sinks[i]);
    free(l->sinks);
    buf_release(&l->partial);
    closep(&l->pipe_fd);
    free(l);
}

static struct sink *sink_of(struct router_log *l, struct str app)
{
    if (l->last < l->n && str_eq(app, str_of(l->sinks[l->last].app)))
        return &l->sinks[l->last];
    for (l->last = 0; l->last < l->n; l->last++) {
        if (str_eq(app, str_of(l->sinks[l->last].app)))
            return &l->sinks[l->last];
    }
    if (l->n == l->room) {
        l->room = MAX(2 * l->room, (size_t)8);
        l->sinks = xrealloc(l->sinks, l->room * sizeof(*l->sinks));
    }
    l->n++;
    l->sinks[l->last] =
        (struct sink){.app = xstrndup(app.ptr, app.len), .fd = -1, .pending = BUF_CAP(16 * CHUNK)};
    return &l->sinks[l->last];
}

static int sink_open(const struct config *c, struct sink *s, struct err *err)
{
    struct stat st;
    if (s->fd >= 0 && !fstat(s->fd, &st) && st.st_nlink)
        return 0;
    closep(&s->fd);
    _cleanup_free_ char *dir = path_join(c->log, "%s", s->app);
    _cleanup_free_ char *path = path_join(dir, "router.log");
    int r = dir_make(dir, 0775, err);
    if (r < 0)
        return r;
    s->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    if (s->fd < 0 || fstat(s->fd, &st) < 0)
        return err_errno(err, "opening %s", path);
    s->size = st.st_size;
    return 0;
}

/* router.log → router.log.1 → … as many as `log_files` says, the current one counted. */
static void rotate(const struct config *c, struct sink *s)
{
    if (s->size < c->log_file_max << 20)
        return;
    _cleanup_free_ char *path = path_join(c->log, "%s/router.log", s->app);
    for (int64_t i = c->log_files - 1; i > 0; i--) {
        _cleanup_free_ char *to = xasprintf("%s.%lld", path, (long long)i);
        _cleanup_free_ char *from =
            i > 1 ? xasprintf("%s.%lld", path, (long long)i - 1) : xstrdup(path);
        rename(from, to);
    }
    if (c->log_files == 1)
        unlink(path);
    closep(&s->fd);
    s->fd = -1;
}

static void sink_flush(const struct config *c, struct sink *s)
{
    struct err err;
    if (!s->pending.len)
        return;
    int r = sink_open(c, s, &err);
    if (!r)
        r = fd_write_all(s->fd, s->pending.ptr, s->pending.len, &err);
    if (r < 0 && !s->failing)
        log_warning("the router log of %s: %s", s->app, err.msg);
    s->failing = r < 0;
    s->size += (int64_t)s->pending.len;
    buf_reset(&s->pending);
    rotate(c, s);
}

static void flush(struct router_log *l)
{
    bool crowded = l->n > OPEN_MAX;
    for (size_t i = 0; i < l->n; i++) {
        sink_flush(l->config, &l->sinks[i]);
        if (crowded)
            sink_release(&l->sinks[i]);
    }
    if (crowded)
        l->n = 0;
}

/* --- reading --------------------------------------------------------------------------------- */

static void take_line(struct router_log *l, struct str raw, const char *when)
{
    struct str rest = raw, app = str_cut(&rest, '\t');
    if (rest.len && app.len && !str_eq(app, STR("-")))
        log_format_line(raw, when, &app, &sink_of(l, app)->pending);
}

static void take_lines(struct router_log *l, const char *when)
{
    struct str rest = buf_str(&l->partial);
    const char *end;
    while ((end = memchr(rest.ptr, '\n', rest.len))) {
        take_line(l, (struct str){rest.ptr, (size_t)(end - rest.ptr)}, when);
        rest.len -= (size_t)(end + 1 - rest.ptr);
        rest.ptr = end + 1;
    }
    if (rest.len > LINE_MAX_LEN) /* not a line of ours */
        rest.len = 0;
    buf_consume(&l->partial, l->partial.len - rest.len);
}

void router_log_read(struct router_log *l)
{
    static char chunk[CHUNK];
    char when[TIME_TEXT_LEN + 1];
    size_t budget = 4 * PIPE_SIZE; /* other work gets its turn even in a flood */
    time_log_text(time_wall_us(), when);
    ssize_t n;
    while (budget && (n = read(l->pipe_fd, chunk, MIN(sizeof(chunk), budget))) > 0) {
        buf_add(&l->partial, chunk, (size_t)n);
        take_lines(l, when);
        flush(l);
        budget -= (size_t)n;
    }
}
