/* An app's log lines: the last ones, and with follow=1 those to come. */
#include "api/logs.h"

#include <dirent.h>

#include "api/routes.h"
#include "api/view.h"
#include "base/log.h"
#include "model/names.h"
#include "os/file.h"

/* --- an app's log as it grows ---------------------------------------------------------------- */

struct log_tail {
    struct stream *stream;
    struct log_reader *reader;
    uv_fs_event_t *changes; /* in the folder */
};

struct log_reader *log_tail_reader(struct log_tail *t) { return t->reader; }

static void on_closed(uv_handle_t *h) { free(h); }

void log_tail_free(struct log_tail *t)
{
    if (!t)
        return;
    if (t->changes)
        uv_close((uv_handle_t *)t->changes, on_closed);
    if (t->reader)
        log_reader_free(t->reader);
    free(t);
}

static void on_change(uv_fs_event_t *event, const char *name, int events, int status)
{
    (void)events;
    (void)status;
    struct log_tail *t = event->data;
    if (name)
        log_reader_changed(t->reader, name);
    stream_poke(t->stream);
}

/* Before anything is read, so that nothing is missed. An app that never ran has no folder yet. */
static int watch_folder(struct log_tail *t, uv_loop_t *loop, const char *dir, struct err *err)
{
    int r = dir_make(dir, 0775, err);
    if (r < 0)
        return r;
    t->changes = xmalloc(sizeof(*t->changes));
    uv_fs_event_init(loop, t->changes);
    t->changes->data = t;
    if ((r = uv_fs_event_start(t->changes, on_change, dir, 0)) < 0)
        log_warning("watching %s: %s", dir, uv_strerror(r));
    return 0;
}

int log_tail_new(struct stream *s, const char *app, const struct log_query *q,
                 struct log_tail **ret, struct err *err)
{
    struct api *api = api_of(s->rq);
    _cleanup_free_ char *dir = path_join(api->config->log, "%s", app);
    struct log_tail *t = xcalloc(1, sizeof(*t));
    t->stream = s;
    int r = q->follow ? watch_folder(t, operator_loop(api->op), dir, err) : 0;
    if (r < 0) {
        log_tail_free(t);
        return r;
    }
    t->reader = log_reader_new(dir, q);
    *ret = t;
    return 0;
}

/* --- the route ------------------------------------------------------------------------------- */

struct log_stream {
    struct stream stream;
    struct log_tail *tail;
    char *app;
    bool found, follow;
    uv_timer_t *turn; /* the search goes on when others had theirs */
};

static void on_turn(uv_timer_t *t) { stream_poke(t->data); }

static void fill(struct stream *s)
{
    struct log_stream *ls = (struct log_stream *)s;
    struct log_reader *reader = log_tail_reader(ls->tail);
    struct log_line line;
    if (!ls->found && !(ls->found = log_reader_search(reader))) {
        uv_timer_start(ls->turn, on_turn, 0, 0);
        return;
    }
    while (stream_room(s) > LOG_LINE_CAP) {
        if (!log_reader_next(reader, &line)) {
            s->done = !ls->follow || !view_desired(api_of(s->rq), ls->app);
            return;
        }
        buf_add(&s->pending, line.text.ptr, line.text.len);
        buf_addc(&s->pending, '\n');
    }
}

static void release(struct stream *s)
{
    struct log_stream *ls = (struct log_stream *)s;
    uv_close((uv_handle_t *)ls->turn, on_closed);
    log_tail_free(ls->tail);
    free(ls->app);
    free(ls);
}

static const struct stream_ops ops = {.content_type = "text/plain; charset=utf-8",
                                      .fill = fill,
                                      .release = release,
                                      .on_change = true};

static int check_process(const char *process, struct err *err)
{
    struct str rest = str_of(process), type = str_cut(&rest, '.');
    _cleanup_free_ char *name = xstrndup(type.ptr, type.len);
    uint64_t index;
    if (process_type_check(name, NULL) == 0 &&
        (!rest.ptr || str_to_u64(rest, 1, INT32_MAX, &index, NULL) == 0))
        return 0;
    return err_set(err, ERR_INVALID, "'%.80s' is no process: web.1 is one, web is all of a type",
                   process);
}

/* Whether there is a log of it: "web.1" has web.1.log, web.1.log.1; "web" those of all indices. */
static bool has_log(struct api *api, const char *app, const char *process)
{
    _cleanup_free_ char *path = path_join(api->config->log, "%s", app),
                        *prefix = xasprintf("%s.", process);
    DIR *dir = opendir(path);
    const struct dirent *e;
    bool found = false;
    while (dir && !found && (e = readdir(dir)))
        found = strncmp(e->d_name, prefix, strlen(prefix)) == 0;
    if (dir)
        closedir(dir);
    return found;
}

/* One that runs, or will when the app is scaled or deployed, is worth following. */
static bool may_have(struct api *api, const char *app, const struct log_query *q)
{
    _cleanup_(counts_release) struct counts formation = {0};
    struct str index = str_of(q->process), type = str_cut(&index, '.');
    _cleanup_free_ char *name = xstrndup(type.ptr, type.len);
    uint64_t n = 1;
    if (index.ptr && str_to_u64(index, 1, INT32_MAX, &n, NULL) < 0)
        return false;
    view_formation(api, app, &formation);
    int64_t wanted = counts_get(&formation, name, -1);
    return q->follow ? wanted >= 0 || !formation.n : wanted >= (int64_t)n;
}

/* Silence would look like a process that says nothing. */
static int find_process(struct api *api, const char *app, const struct log_query *q,
                        struct err *err)
{
    if (!q->process || has_log(api, app, q->process) || may_have(api, app, q))
        return 0;
    err_set(err, ERR_NOT_FOUND, "%s has no process '%s', and no log of one", app, q->process);
    return err_hint(err, "davit ps -a %s lists what runs", app);
}

static int check_since(const char *since, struct err *err)
{
    return time_parse(since) < 0
               ? err_set(err, ERR_INVALID, "a time like 2026-09-16T15:13:46Z is needed")
               : 0;
}

static void read_query(struct request *rq, struct log_query *q)
{
    const char *since = request_query(rq, "since");
    q->process = request_query(rq, "process");
    q->source = request_query(rq, "source");
    q->n = (uint64_t)(since && !request_query(rq, "n") ? LOG_LINES_MAX : request_number(rq, "n"));
    q->follow = request_number(rq, "follow");
    if (since)
        time_log_text(time_parse(since), q->since);
}

static int logs(struct request *rq, struct err *err)
{
    const struct app *a;
    struct log_query q = {0};
    int r = request_app(rq, &a, err);
    read_query(rq, &q);
    if (r < 0 || (r = find_process(api_of(rq), a->name, &q, err)) < 0)
        return r;
    struct log_stream *ls = xcalloc(1, sizeof(*ls));
    ls->follow = q.follow;
    ls->app = xstrdup(a->name);
    ls->turn = xmalloc(sizeof(*ls->turn));
    uv_timer_init(operator_loop(api_of(rq)->op), ls->turn);
    ls->turn->data = &ls->stream;
    stream_init(&ls->stream, &ops, rq); /* the request frees it from here on */
    return log_tail_new(&ls->stream, a->name, &q, &ls->tail, err);
}

/* clang-format off */
static const char *const sources[] = {"app", "router", "davit", NULL};

const struct route log_routes[] = {
    ROUTE(GET, "/v1/apps/{app}/logs", logs, VIEWER, "Log lines",
          QUERY({"n", "how many at most; without it all, if `since` is given", PARAM_NUMBER, .max = LOG_LINES_MAX, .otherwise = 100},
                {"follow", "1: and those to come, as they come", PARAM_NUMBER, .max = 1},
                {"process", "web.1, or web: all of a type", .kind = &(const struct text_kind){"^[A-Za-z0-9_-]{1,63}([.][1-9][0-9]{0,8})?$", 0, check_process}},
                {"source", "only lines from there", .choices = sources},
                {"since", "RFC 3339: only lines from then on", .kind = &(const struct text_kind){"^(19[7-9][0-9]|[2-9][0-9]{3})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3])(:[0-5][0-9]){2}([.][0-9]{1,6})?Z$", 0, check_since}}),
          STREAM("text/plain")),
    {0},
};
/* clang-format on */
