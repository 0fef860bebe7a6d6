/* An app's log lines: the last ones, and with follow=1 those to come. */
#include "api/fdwatch.h"
#include "api/handlers.h"
#include "api/logread.h"
#include "api/stream.h"
#include "base/log.h"
#include "model/names.h"
#include "os/file.h"

struct log_stream {
    struct stream stream;
    struct log_reader *reader;
    bool found, follow;
    uv_timer_t *turn;       /* the search goes on when others had theirs */
    uv_fs_event_t *changes; /* in the folder */
};

static void on_turn(uv_timer_t *t) { stream_poke(t->data); }

static void fill(struct stream *s)
{
    struct log_stream *ls = (struct log_stream *)s;
    struct log_line line;
    if (!ls->found && !(ls->found = log_reader_search(ls->reader))) {
        uv_timer_start(ls->turn, on_turn, 0, 0);
        return;
    }
    while (stream_room(s) > LOG_LINE_CAP) {
        if (!log_reader_next(ls->reader, &line)) {
            s->done = !ls->follow;
            return;
        }
        buf_add(&s->pending, line.text.ptr, line.text.len);
        buf_addc(&s->pending, '\n');
    }
}

static void on_closed(uv_handle_t *h) { free(h); }

static void release(struct stream *s)
{
    struct log_stream *ls = (struct log_stream *)s;
    uv_close((uv_handle_t *)ls->turn, on_closed);
    if (ls->changes)
        uv_close((uv_handle_t *)ls->changes, on_closed);
    log_reader_free(ls->reader);
    free(ls);
}

static const struct stream_ops ops = {
    .content_type = "text/plain; charset=utf-8", .fill = fill, .release = release};

static void on_change(uv_fs_event_t *event, const char *name, int events, int status)
{
    (void)events;
    (void)status;
    struct log_stream *ls = event->data;
    if (name)
        log_reader_changed(ls->reader, name);
    stream_poke(&ls->stream);
}

/* Before anything is read, so that nothing is missed. An app that never ran has no folder yet. */
static int watch_folder(struct log_stream *ls, uv_loop_t *loop, const char *dir, struct err *err)
{
    int r = dir_make(dir, 0775, err);
    if (r < 0)
        return r;
    ls->changes = xmalloc(sizeof(*ls->changes));
    uv_fs_event_init(loop, ls->changes);
    ls->changes->data = ls;
    if ((r = uv_fs_event_start(ls->changes, on_change, dir, 0)) < 0)
        log_warning("watching %s: %s", dir, uv_strerror(r));
    return 0;
}

static int check_process(const char *process, struct err *err)
{
    if (!process)
        return 0;
    struct str rest = str_of(process), type = str_cut(&rest, '.');
    _cleanup_free_ char *name = xstrndup(type.ptr, type.len);
    uint64_t index;
    int r = process_type_check(name, err);
    return r < 0 || !rest.ptr ? r : str_to_u64(rest, 1, INT32_MAX, &index, err);
}

static int read_query(struct request *rq, struct log_query *q, struct err *err)
{
    uint64_t follow;
    const char *since = request_query(rq, "since");
    q->process = request_query(rq, "process");
    q->source = request_query(rq, "source");
    int r = request_number(rq, "n", 0, LOG_LINES_MAX, since ? LOG_LINES_MAX : 100, &q->n, err);
    if (r < 0 || (r = request_number(rq, "follow", 0, 1, 0, &follow, err)) < 0)
        return r;
    q->follow = follow;
    if ((r = check_process(q->process, err)) < 0)
        return err_wrap(err, "query parameter 'process'");
    if (q->source && !streq(q->source, "app") && !streq(q->source, "davit") &&
        !streq(q->source, "router"))
        return err_set(err, ERR_INVALID, "query parameter 'source': app, router or davit");
    if (since && time_parse(since) < 0)
        return err_set(err, ERR_INVALID,
                       "query parameter 'since': a time like 2026-09-16T15:13:46Z is needed");
    if (since)
        time_log_text(time_parse(since), q->since);
    return 0;
}

int handle_logs(struct request *rq, struct err *err)
{
    const struct app *a;
    struct log_query q = {0};
    int r = request_app(rq, &a, err);
    if (r < 0 || (r = read_query(rq, &q, err)) < 0)
        return r;
    uv_loop_t *loop = operator_loop(rq->api->op);
    _cleanup_free_ char *dir = path_join(rq->api->config->log, "%s", a->name);
    struct log_stream *ls = xcalloc(1, sizeof(*ls));
    ls->follow = q.follow;
    if (q.follow && (r = watch_folder(ls, loop, dir, err)) < 0) {
        free(ls);
        return r;
    }
    ls->reader = log_reader_new(dir, &q);
    ls->turn = xmalloc(sizeof(*ls->turn));
    uv_timer_init(loop, ls->turn);
    ls->turn->data = &ls->stream;
    stream_init(&ls->stream, &ops, rq);
    return 0;
}
