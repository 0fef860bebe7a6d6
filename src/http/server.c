#include "http/server.h"

#include <errno.h>
#include <microhttpd.h>
#include <sys/stat.h>

#include "http/request.h"
#include "base/log.h"
#include "os/unix.h"

enum {
    CONNECTIONS_MAX = 512,
    CONNECTION_MEMORY = 64 * 1024, /* headers, and the piece of a body that is under way */
    IDLE_TIMEOUT_S = 75,           /* suspended connections don't count as idle */
};

struct server {
    struct api *api;
    enum door door;
    char *path;
    struct MHD_Daemon *http;
    uv_poll_t poll;
    uv_timer_t timer;
};

enum door server_door(const struct server *s) { return s->door; }
struct api *server_api(const struct server *s) { return s->api; }

static void on_timer(uv_timer_t *timer);

static void run(struct server *s)
{
    MHD_run(s->http);
    MHD_UNSIGNED_LONG_LONG ms;
    if (MHD_get_timeout(s->http, &ms) == MHD_YES)
        uv_timer_start(&s->timer, on_timer, ms, 0);
    else
        uv_timer_stop(&s->timer);
}

static void on_timer(uv_timer_t *timer) { run(timer->data); }

static void on_ready(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    run(poll->data);
}

void server_kick(struct server *s) { uv_timer_start(&s->timer, on_timer, 0, 0); }

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
        *request = request_new(cls, connection, method, url);
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

static int listen_at(struct server *s, struct err *err)
{
    bool local = s->door == DOOR_LOCAL;
    s->path = path_join(s->api->config->run, local ? "davit.sock" : "gateway-api.sock");
    return unix_listen(s->path, local ? 0666 : 0600, err);
}

int server_start(struct api *api, enum door door, struct server **ret, struct err *err)
{
    struct server *s = xcalloc(1, sizeof(*s));
    s->api = api;
    s->door = door;
    int fd = listen_at(s, err);
    if (fd >= 0) {
        s->http = MHD_start_daemon(
            MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request,
            s, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
            MHD_OPTION_EXTERNAL_LOGGER, on_complaint, NULL, MHD_OPTION_URI_LOG_CALLBACK, on_uri,
            NULL, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
            MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_TIMEOUT_S, MHD_OPTION_END);
        if (!s->http) {
            close(fd);
            fd = err_set(err, ERR_INTERNAL, "libmicrohttpd didn't start on %s", s->path);
        }
    }
    if (fd < 0) {
        free(s->path);
        free(s);
        return fd;
    }
    int epoll = MHD_get_daemon_info(s->http, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    uv_poll_init(operator_loop(api->op), &s->poll, epoll);
    uv_timer_init(operator_loop(api->op), &s->timer);
    s->poll.data = s->timer.data = s;
    uv_poll_start(&s->poll, UV_READABLE, on_ready);
    *ret = s;
    return 0;
}

/* The loop ends with the process: its handles need no closing. */
void server_stop(struct server *s)
{
    if (!s)
        return;
    uv_poll_stop(&s->poll);
    uv_timer_stop(&s->timer);
    unlink(s->path);
    MHD_run(s->http); /* lets go of what was resumed; stopping with suspended ones is an abort */
    MHD_stop_daemon(s->http);
    free(s->path);
    free(s);
}
