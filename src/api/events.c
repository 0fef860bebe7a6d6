/* The audit log: the last ones, or those to come. */
#include "http/fdwatch.h"
#include "api/routes.h"
#include "http/reply.h"
#include "http/stream.h"

enum {
    EVENTS_MAX = 1000,
    EVENTS_SEARCHED = 20000, /* how far back we look for those of one app */
};

static bool wanted(const struct event *e, const char *app)
{
    return !app || (e->app && streq(e->app, app));
}

static int read_event(struct api *api, int64_t number, struct event *ret, struct err *err)
{
    _cleanup_(kv_release) struct kv kv = {0};
    _cleanup_free_ char *key = key_event(number);
    int r = store_get(operator_store(api->op), key, &kv, err);
    return r < 0 ? r : model_decode(&event_schema, (struct str){kv.value, kv.value_len}, ret, err);
}

/* The numbers of the last n wanted ones, newest first. */
static size_t find_last(struct api *api, const char *app, size_t n, int64_t *ret)
{
    size_t found = 0;
    int64_t end = MAX(api->last_event.number - EVENTS_SEARCHED, api->last_event.oldest - 1);
    for (int64_t i = api->last_event.number; i > end && found < n; i--) {
        _cleanup_(event_release) struct event e = {0};
        if (!app || (read_event(api, i, &e, NULL) == 0 && wanted(&e, app)))
            ret[found++] = i;
    }
    return found;
}

/* --- following ------------------------------------------------------------------------------- */

struct event_stream {
    struct stream stream;
    char *app;
    int64_t *last; /* those before, newest first; handed out first */
    size_t n_last;
    struct watch *watch;
    struct fdwatch *fdwatch;
};

static void add_line(struct event_stream *es, const struct event *e)
{
    struct buf *b = &es->stream.pending;
    model_encode(&event_schema, e, b);
    buf_addc(b, '\n');
}

/* An event's document is small; what would not fit any more waits for the next call. */
enum { EVENT_ROOM = 16 * 1024 };

static void fill_events(struct stream *s)
{
    struct event_stream *es = (struct event_stream *)s;
    while (es->n_last && stream_room(s) > EVENT_ROOM) {
        _cleanup_(event_release) struct event e = {0};
        if (read_event(api_of(s->rq), es->last[--es->n_last], &e, NULL) == 0)
            add_line(es, &e);
    }
    struct kv kv = {0};
    while (!es->n_last && stream_room(s) > EVENT_ROOM) {
        int r = watch_next(es->watch, &kv, NULL);
        if (r < 0)
            s->done = true;
        if (r <= 0)
            return;
        _cleanup_(event_release) struct event e = {0};
        if (kv.value &&
            model_decode(&event_schema, (struct str){kv.value, kv.value_len}, &e, NULL) == 0 &&
            wanted(&e, es->app))
            add_line(es, &e);
        kv_release(&kv);
    }
}

static void release_events(struct stream *s)
{
    struct event_stream *es = (struct event_stream *)s;
    fdwatch_free(es->fdwatch);
    if (es->watch)
        watch_close(es->watch);
    free(es->last);
    free(es->app);
    free(es);
}

static const struct stream_ops event_ops = {
    .content_type = "application/x-ndjson", .fill = fill_events, .release = release_events};

static void on_event(void *arg) { stream_poke(arg); }

static int follow(struct request *rq, const char *app, int64_t *last, size_t n, struct err *err)
{
    struct store *store = operator_store(api_of(rq)->op);
    _cleanup_free_ char *prefix = key_prefix(&event_schema, NULL);
    struct watch *w;
    int64_t revision;
    int r = store_revision(store, &revision, err);
    if (r < 0 || (r = store_watch(store, prefix, revision + 1, &w, err)) < 0)
        return r;
    struct event_stream *es = xcalloc(1, sizeof(*es));
    es->app = app ? xstrdup(app) : NULL;
    es->n_last = n;
    es->last = xcalloc(n + 1, sizeof(*last));
    if (n)
        memcpy(es->last, last, n * sizeof(*last));
    es->watch = w;
    stream_init(&es->stream, &event_ops, rq);
    es->fdwatch =
        fdwatch_new(operator_loop(api_of(rq)->op), watch_fd(w), UV_READABLE, on_event, es);
    return 0;
}

static int events_list(struct request *rq, struct err *err)
{
    size_t n = (size_t)request_number(rq, "n");
    const char *app = request_query(rq, "app");
    _cleanup_free_ int64_t *last = xcalloc(n + 1, sizeof(*last));
    size_t found = find_last(api_of(rq), app, n, last);
    if (request_number(rq, "follow"))
        return follow(rq, app, last, found, err);
    json_add_open(&rq->out, NULL, '{');
    json_add_open(&rq->out, "items", '[');
    for (size_t i = found; i-- > 0;) {
        _cleanup_(event_release) struct event e = {0};
        if (read_event(api_of(rq), last[i], &e, NULL) == 0)
            reply_noun(&rq->out, NULL, &event_schema, &e);
    }
    json_add_close(&rq->out, ']');
    json_add_close(&rq->out, '}');
    return 0;
}

/* clang-format off */
const struct route event_routes[] = {
    ROUTE(GET, "/v1/events", events_list, VIEWER, "The audit log, the last ones; with follow a stream of one JSON document a line",
          QUERY({"app", "only those of the app", .kind = &kind_app},
                {"n", "how many at most", PARAM_NUMBER, .max = EVENTS_MAX, .otherwise = 100},
                {"follow", "1: and those to come, as they come", PARAM_NUMBER, .max = 1}),
          LIST_OF(event_schema), .media = "application/x-ndjson"),
    {0},
};
/* clang-format on */
