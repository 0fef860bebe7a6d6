#include <errno.h>
#include <microhttpd.h>
#include <sys/stat.h>

#include "http/internal.h"
#include "base/log.h"
#include "os/unix.h"

enum {
    CONNECTIONS_MAX = 512,
    CONNECTION_MEMORY = 64 * 1024, /* headers, and the piece of a body that is under way */
    IDLE_TIMEOUT_S = 75,           /* suspended connections don't count as idle */
};

struct door {
    struct httpd *httpd;
    int number;
    char *path;
    struct MHD_Daemon *mhd;
    uv_poll_t poll;
    uv_timer_t timer;
    struct door *next;
};

int request_door(const struct request *rq) { return rq->door->number; }

static void on_timer(uv_timer_t *timer);

static void run(struct door *d)
{
    MHD_run(d->mhd);
    MHD_UNSIGNED_LONG_LONG ms;
    if (MHD_get_timeout(d->mhd, &ms) == MHD_YES)
        uv_timer_start(&d->timer, on_timer, ms, 0);
    else
        uv_timer_stop(&d->timer);
}

static void on_timer(uv_timer_t *timer) { run(timer->data); }

static void on_ready(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    run(poll->data);
}

void door_kick(struct door *d) { uv_timer_start(&d->timer, on_timer, 0, 0); }

/* What a request is before there is one, if its URI is refused. */
static char unclean;

/* Called before libmicrohttpd decodes the URI, after which a NUL is its end. */
static void *on_uri(void *cls, const char *uri, struct MHD_Connection *connection)
{
    (void)cls;
    (void)connection;
    return uri_is_clean(uri) ? NULL : &unclean;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *n, void **request)
{
    (void)version;
    if (!*request || *request == &unclean) {
        bool clean = !*request;
        struct door *d = cls;
        *request = request_new(d->httpd, d, connection, method, url);
        return request_begin(*request, clean) ? MHD_YES : MHD_NO;
    }
    if (*n)
        return request_data(*request, data, n) ? MHD_YES : MHD_NO;
    return request_end(*request) ? MHD_YES : MHD_NO;
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **request,
                         enum MHD_RequestTerminationCode why)
{
    (void)cls;
    (void)connection;
    (void)why;
    if (*request != &unclean)
        request_free(TAKE_PTR(*request));
}

static void on_complaint(void *cls, const char *fmt, va_list ap)
{
    (void)cls;
    _cleanup_(buf_release) struct buf text = BUF_CAP(1024);
    buf_vaddf(&text, fmt, ap);
    log_debug("libmicrohttpd: %s", text.ptr ? text.ptr : "");
}

struct httpd *httpd_new(const struct httpd_options *o)
{
    struct httpd *h = xcalloc(1, sizeof(*h));
    h->options = *o;
    return h;
}

static void add_door(struct httpd *h, struct door *d)
{
    int epoll = MHD_get_daemon_info(d->mhd, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    uv_poll_init(h->options.loop, &d->poll, epoll);
    uv_timer_init(h->options.loop, &d->timer);
    d->poll.data = d->timer.data = d;
    uv_poll_start(&d->poll, UV_READABLE, on_ready);
    d->next = h->doors;
    h->doors = d;
}

int httpd_listen(struct httpd *h, const char *path, mode_t mode, int number, struct err *err)
{
    int fd = unix_listen(path, mode, err);
    if (fd < 0)
        return fd;
    struct door *d = xcalloc(1, sizeof(*d));
    *d = (struct door){.httpd = h, .number = number, .path = xstrdup(path)};
    d->mhd = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, d,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
        MHD_OPTION_EXTERNAL_LOGGER, on_complaint, NULL, MHD_OPTION_URI_LOG_CALLBACK, on_uri, NULL,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_TIMEOUT_S,
        MHD_OPTION_END);
    if (d->mhd) {
        add_door(h, d);
        return 0;
    }
    close(fd);
    free(d->path);
    free(d);
    return err_set(err, ERR_INTERNAL, "libmicrohttpd didn't start on %s", path);
}

/* The loop ends with the process: its handles need no closing. */
static void close_door(struct door *d)
{
    uv_poll_stop(&d->poll);
    uv_timer_stop(&d->timer);
    unlink(d->path);
    MHD_run(d->mhd); /* lets go of what was resumed; stopping with suspended ones is an abort */
    MHD_stop_daemon(d->mhd);
    free(d->path);
    free(d);
}

void httpd_free(struct httpd *h)
{
    if (!h)
        return;
    requests_hang_up(h);
    for (struct door *d; (d = h->doors);) {
        h->doors = d->next;
        close_door(d);
    }
    free(h);
}
