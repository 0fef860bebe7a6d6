#include "gateway/log.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/log.h"
#include "gateway/logline.h"
#include "log/file.h"
#include "log/line.h"
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

/* --- files ----------------------------------------------------------------------------------- */

struct sink {
    char *app, *path;
    struct log_file file;
    bool failing; /* said so already */
    struct buf pending;
};

struct router_log {
    const struct config *config;
    int pipe_fd;
    bool (*exists)(void *ctx, struct str app);
    void *ctx;
    struct sink *sinks;
    size_t n;
    size_t last; /* the one written to last: lines of an app come in runs */
    struct buf partial;
};

struct router_log *router_log_new(const struct config *c, int pipe_fd,
                                  bool (*exists)(void *ctx, struct str app), void *ctx)
{
    struct router_log *l = xcalloc(1, sizeof(*l));
    *l = (struct router_log){.config = c,
                             .pipe_fd = pipe_fd,
                             .exists = exists,
                             .ctx = ctx,
                             .partial = BUF_CAP(2 * CHUNK)};
    return l;
}

static void sink_release(struct sink *s)
{
    log_file_release(&s->file);
    free(s->app);
    free(s->path);
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

/* NULL: there is no such app. */
static struct sink *sink_of(struct router_log *l, struct str app)
{
    if (l->last < l->n && str_eq(app, str_of(l->sinks[l->last].app)))
        return &l->sinks[l->last];
    for (l->last = 0; l->last < l->n; l->last++) {
        if (str_eq(app, str_of(l->sinks[l->last].app)))
            return &l->sinks[l->last];
    }
    if (!l->exists(l->ctx, app))
        return NULL;
    struct sink *s = array_add(l->sinks, l->n);
    *s = (struct sink){.app = xstrndup(app.ptr, app.len), .pending = BUF_CAP(16 * CHUNK)};
    s->path = path_join(l->config->log, "%s/router.log", s->app);
    log_file_init(&s->file, s->path, true, l->config->log_file_max << 20, l->config->log_files);
    return s;
}

static void sink_flush(struct sink *s)
{
    struct err err;
    if (!s->pending.len)
        return;
    int r = log_file_write(&s->file, s->pending.ptr, s->pending.len, &err);
    if (r < 0 && !s->failing)
        log_warning("the router log of %s: %s", s->app, err.msg);
    s->failing = r < 0;
    buf_reset(&s->pending);
}

static void flush(struct router_log *l)
{
    bool crowded = l->n > OPEN_MAX;
    for (size_t i = 0; i < l->n; i++) {
        sink_flush(&l->sinks[i]);
        if (crowded)
            sink_release(&l->sinks[i]);
    }
    if (crowded)
        l->n = 0;
}

/* --- reading --------------------------------------------------------------------------------- */

static void take_line(struct router_log *l, struct str raw, const char *prefix)
{
    struct str rest = raw, app = str_cut(&rest, '\t');
    struct sink *s;
    if (rest.len && app.len && !str_eq(app, STR("-")) && (s = sink_of(l, app)))
        log_format_line(raw, prefix, &app, &s->pending);
}

static void take_lines(struct router_log *l, const char *prefix)
{
    struct str rest = buf_str(&l->partial);
    const char *end;
    while ((end = memchr(rest.ptr, '\n', rest.len))) {
        take_line(l, (struct str){rest.ptr, (size_t)(end - rest.ptr)}, prefix);
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
    char prefix[LOG_PREFIX_MAX];
    size_t budget = 4 * PIPE_SIZE; /* other work gets its turn even in a flood */
    log_line_prefix("davit", "router", prefix);
    ssize_t n;
    while (budget && (n = read(l->pipe_fd, chunk, MIN(sizeof(chunk), budget))) > 0) {
        buf_add(&l->partial, chunk, (size_t)n);
        take_lines(l, prefix);
        flush(l);
        budget -= (size_t)n;
    }
}

void router_log_forget(struct router_log *l, const char *app)
{
    for (size_t i = 0; i < l->n; i++) {
        if (!streq(l->sinks[i].app, app))
            continue;
        sink_release(&l->sinks[i]);
        l->sinks[i] = l->sinks[--l->n];
        return;
    }
}
