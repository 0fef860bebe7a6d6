#include "run/httpget.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "run/tls.h"

struct httpget {
    uv_tcp_t tcp;
    uv_timer_t timer;
    uv_connect_t connect;
    struct tls *tls; /* NULL: in the clear */
    struct buf request, answer;
    char *path, *content;
    void (*done)(void *ctx, const char *why);
    void *ctx;
    int handles; /* not closed yet */
};

static void on_closed(uv_handle_t *handle)
{
    struct httpget *g = handle->data;
    if (--g->handles)
        return;
    tls_free(g->tls);
    buf_release(&g->request);
    buf_release(&g->answer);
    free(g->path);
    free(g->content);
    free(g);
}

void httpget_cancel(struct httpget *g)
{
    g->done = NULL;
    if (!uv_is_closing((uv_handle_t *)&g->tcp))
        uv_close((uv_handle_t *)&g->tcp, on_closed);
    if (!uv_is_closing((uv_handle_t *)&g->timer))
        uv_close((uv_handle_t *)&g->timer, on_closed);
}

static void finish(struct httpget *g, const char *why)
{
    void (*done)(void *, const char *) = g->done;
    void *ctx = g->ctx;
    httpget_cancel(g);
    if (done)
        done(ctx, why);
}

__attribute__((format(printf, 2, 3))) static void fail(struct httpget *g, const char *fmt, ...)
{
    char why[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    finish(g, why);
}

/* What can be said with what has come so far; `ended`: no more will come. */
static void judge(struct httpget *g, bool ended)
{
    int status;
    struct str text = buf_str(&g->answer);
    bool have_line = text.len && memchr(text.ptr, '\n', text.len);
    if (!have_line && !ended)
        return;
    if (!have_line || sscanf(text.ptr, "HTTP/1.%*1[01] %3d", &status) != 1) {
        fail(g, "did not answer GET %s in HTTP", g->path);
        return;
    }
    if (status < 200 || status > 299)
        fail(g, "answered GET %s with %d", g->path, status);
    else if (!*g->content || memmem(text.ptr, text.len, g->content, strlen(g->content)))
        finish(g, NULL);
    else if (ended)
        fail(g, "answered GET %s without \"%.100s\"", g->path, g->content);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    static char chunk[65536]; /* one loop, and on_read empties it at once */
    (void)handle;
    (void)suggested;
    *ret = uv_buf_init(chunk, sizeof(chunk));
}

/* Bytes on their way out. */
struct piece {
    uv_write_t write;
    struct buf bytes;
};

static void on_written(uv_write_t *write, int status)
{
    (void)status; /* what can't be sent shows when nothing is answered */
    struct piece *p = write->data;
    buf_release(&p->bytes);
    free(p);
}

/* Moves the bytes out of `b`. */
static void send_all(struct httpget *g, struct buf *b)
{
    struct piece *p = xcalloc(1, sizeof(*p));
    p->bytes = *b;
    p->write.data = p;
    *b = (struct buf){0};
    uv_buf_t out = uv_buf_init(p->bytes.ptr, (unsigned)p->bytes.len);
    if (uv_write(&p->write, (uv_stream_t *)&g->tcp, &out, 1, on_written) < 0)
        on_written(&p->write, 0);
}

static void step_tls(struct httpget *g, struct str came)
{
    _cleanup_(buf_release) struct buf out = BUF_CAP(HTTPGET_BODY_MAX);
    struct err err;
    int r = tls_step(g->tls, came, &out, &g->answer, &err);
    if (out.len)
        send_all(g, &out);
    if (r < 0)
        fail(g, "could not be asked GET %s by TLS: %s", g->path, err.msg);
    else
        judge(g, r || g->answer.overflow);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *chunk)
{
    struct httpget *g = stream->data;
    if (n > 0 && g->tls) {
        step_tls(g, (struct str){chunk->base, (size_t)n});
        return;
    }
    if (n > 0)
        buf_add(&g->answer, chunk->base, (size_t)n);
    if (n)
        judge(g, n < 0 || g->answer.overflow);
}

static void on_connect(uv_connect_t *connect, int status)
{
    struct httpget *g = connect->data;
    if (!g->done)
        return;
    if (status < 0) {
        fail(g, "could not be asked GET %s: %s", g->path, uv_strerror(status));
        return;
    }
    uv_read_start((uv_stream_t *)&g->tcp, on_alloc, on_read);
    if (g->tls)
        step_tls(g, (struct str){NULL, 0});
    else
        send_all(g, &g->request);
}

static void on_timeout(uv_timer_t *timer)
{
    struct httpget *g = timer->data;
    fail(g, "did not answer GET %s in time", g->path);
}

static bool header_safe(const char *s) { return !strpbrk(s, "\r\n"); }

static void compose(struct httpget *g, const char *address, const struct check *check)
{
    buf_addf(&g->request, "GET %s HTTP/1.1\r\n", g->path);
    if (!map_get(&check->headers, "Host"))
        buf_addf(&g->request, "Host: %s\r\n", address);
    for (size_t i = 0; i < check->headers.n; i++)
        if (header_safe(check->headers.items[i].name) && header_safe(check->headers.items[i].value))
            buf_addf(&g->request, "%s: %s\r\n", check->headers.items[i].name,
                     check->headers.items[i].value);
    buf_adds(&g->request, "User-Agent: davit-check\r\nConnection: close\r\n\r\n");
}

static bool over_tls(const char *scheme) { return scheme && !strcasecmp(scheme, "https"); }

bool httpget_knows(const char *scheme)
{
    return !scheme || !*scheme || !strcasecmp(scheme, "http") || over_tls(scheme);
}

/* What the server is asked to be, if it has a name. */
static struct tls *start_tls(const struct check *check, struct str request, struct err *err)
{
    const char *host = map_get(&check->headers, "Host");
    struct str rest = str_of(host ? host : ""), name = str_cut(&rest, ':');
    struct in_addr ip;
    _cleanup_free_ char *copy = xstrndup(name.ptr, name.len);
    bool named = *copy && inet_pton(AF_INET, copy, &ip) != 1;
    return tls_new(named ? copy : NULL, request, err);
}

static void on_no_start(uv_timer_t *timer)
{
    struct httpget *g = timer->data;
    fail(g, "could not be asked GET %s", g->path);
}

struct httpget *httpget_start(uv_loop_t *loop, const char *address, uint16_t port,
                              const struct check *check, void (*done)(void *ctx, const char *why),
                              void *ctx)
{
    struct httpget *g = xcalloc(1, sizeof(*g));
    struct sockaddr_in to;
    *g = (struct httpget){.request = BUF_CAP(65536),
                          .answer = BUF_CAP(HTTPGET_BODY_MAX),
                          .path = xstrdup(check->path),
                          .content = xstrdup(check->content ? check->content : ""),
                          .done = done,
                          .ctx = ctx,
                          .handles = 2};
    for (char *c = g->path; *c; c++)
        if ((unsigned char)*c <=
            ' ') /* can't be in a request line; app.json is not checked for it */
            *c = '_';
    compose(g, address, check);
    uv_tcp_init(loop, &g->tcp);
    uv_timer_init(loop, &g->timer);
    g->tcp.data = g->timer.data = g->connect.data = g;
    uv_ip4_addr(address, port, &to);
    uv_timer_start(&g->timer, on_timeout, (uint64_t)(check->timeout ? check->timeout : 5) * 1000,
                   0);
    if ((over_tls(check->scheme) && !(g->tls = start_tls(check, buf_str(&g->request), NULL))) ||
        uv_tcp_connect(&g->connect, &g->tcp, (const struct sockaddr *)&to, on_connect) < 0)
        uv_timer_start(&g->timer, on_no_start, 0, 0);
    return g;
}
