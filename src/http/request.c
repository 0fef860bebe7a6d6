#include "http/request.h"

#include "http/body.h"
#include "http/fdwatch.h"
#include "http/internal.h"

struct request *request_new(struct httpd *h, struct door *d, struct MHD_Connection *c,
                            const char *method, const char *path)
{
    struct request *rq = xcalloc(1, sizeof(*rq));
    rq->httpd = h;
    rq->door = d;
    rq->connection = c;
    rq->method = xstrdup(method);
    rq->path = xstrdup(path);
    rq->group = route_group(h->options.groups, path);
    rq->ctx = rq->group->ctx;
    rq->body = BUF_CAP(BODY_MAX);
    rq->out = BUF_CAP(REPLY_MAX);
    rq->status = MHD_HTTP_OK;
    rq->content_type = "application/json";
    rq->link = &h->requests;
    if ((rq->next = h->requests))
        rq->next->link = &rq->next;
    return *rq->link = rq;
}

void request_free(struct request *rq)
{
    if (!rq)
        return;
    if ((*rq->link = rq->next))
        rq->next->link = rq->link;
    fdwatch_free(rq->leash);
    stream_free(rq->stream);
    if (rq->release)
        rq->release(rq);
    for (size_t i = 0; i < ARRAY_LEN(rq->params); i++)
        free(rq->params[i]);
    identity_release(&rq->who);
    buf_release(&rq->body);
    json_decref(rq->json);
    buf_release(&rq->out);
    free(rq->header_value);
    free(rq->method);
    free(rq->path);
    free(rq);
}

/* --- what handlers ask ----------------------------------------------------------------------- */

const char *request_header(struct request *rq, const char *name)
{
    return MHD_lookup_connection_value(rq->connection, MHD_HEADER_KIND, name);
}

struct lookup {
    const char *name, *value;
};

static enum MHD_Result look(void *cls, enum MHD_ValueKind kind, const char *key, const char *value)
{
    (void)kind;
    struct lookup *l = cls;
    if (!streq(key, l->name))
        return MHD_YES;
    l->value = value ? value : "";
    return MHD_NO;
}

const char *request_query(struct request *rq, const char *name)
{
    struct lookup l = {.name = name};
    MHD_get_connection_values(rq->connection, MHD_GET_ARGUMENT_KIND, look, &l);
    return l.value;
}

const char *request_param(struct request *rq, const char *name)
{
    size_t i = route_param(rq->route, name);
    if (i == ROUTE_PARAMS_MAX)
        abort(); /* a bug of the handler */
    return rq->params[i];
}

int64_t request_number(struct request *rq, const char *name)
{
    const struct param *p = param_find(rq->route->query, name);
    const char *text = request_query(rq, name);
    uint64_t n;
    if (!text || str_to_u64(str_of(text), (uint64_t)p->min, (uint64_t)p->max, &n, NULL) < 0)
        return p->otherwise;
    return (int64_t)n;
}

const char *body_text(const struct request *rq, const char *name)
{
    return json_string_value(json_object_get(rq->json, name));
}

int64_t body_number(const struct request *rq, const char *name)
{
    const json_t *v = json_object_get(rq->json, name);
    return v ? (int64_t)json_number_value(v) : param_find(rq->route->fields, name)->otherwise;
}

bool body_flag(const struct request *rq, const char *name)
{
    return json_is_true(json_object_get(rq->json, name));
}

int request_socket(const struct request *rq)
{
    return MHD_get_connection_info(rq->connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
}

uv_loop_t *request_loop(const struct request *rq) { return rq->httpd->options.loop; }

/* --- suspending ------------------------------------------------------------------------------ */

static void on_hangup(void *arg)
{
    struct request *rq = arg;
    rq->gone = true;
    fdwatch_free(TAKE_PTR(rq->leash));
    request_resume(rq);
}

void request_suspend(struct request *rq)
{
    if (rq->suspended)
        return;
    if (!rq->leash && !rq->gone)
        rq->leash = fdwatch_new(request_loop(rq), request_socket(rq), UV_DISCONNECT, on_hangup, rq);
    rq->suspended = true;
    MHD_suspend_connection(rq->connection);
}

void request_resume(struct request *rq)
{
    if (!rq->suspended)
        return;
    rq->suspended = false;
    MHD_resume_connection(rq->connection);
    door_kick(rq->door);
}

static void hang_up(struct request *rq)
{
    rq->gone = true;
    request_resume(rq);
}

void httpd_changed(struct httpd *h)
{
    for (struct request *rq = h->requests; rq; rq = rq->next) {
        if (!rq->failed && !h->options.holds(h->options.ctx, &rq->who))
            hang_up(rq);
        else if (rq->stream && rq->stream->ops->on_change)
            stream_poke(rq->stream);
    }
}

void requests_hang_up(struct httpd *h)
{
    for (struct request *rq = h->requests; rq; rq = rq->next)
        hang_up(rq);
}

/* --- from headers to answer ------------------------------------------------------------------ */

static int gather(struct request *rq, const char *data, size_t n, size_t *ret_taken,
                  struct err *err)
{
    buf_add(&rq->body, data, n);
    *ret_taken = n;
    if (rq->body.overflow)
        return err_set(err, ERR_TOO_LARGE, "the request is larger than %d KiB", BODY_MAX / 1024);
    return 0;
}

static int call_handler(struct request *rq, struct err *err)
{
    const struct param *fields = rq->route->fields;
    int r = fields ? body_object(buf_str(&rq->body), &rq->json, err) : 0;
    if (r < 0 || (fields && (r = param_check_body(fields, rq->json, err)) < 0))
        return r;
    return rq->route->handler(rq, err);
}

static int check_path(const struct request *rq, struct err *err)
{
    const struct param *p = rq->group->params;
    int r = 0;
    for (size_t i; r == 0 && p && p->name; p++)
        if ((i = route_param(rq->route, p->name)) < ROUTE_PARAMS_MAX)
            r = param_check_text(p, rq->params[i], err);
    return r;
}

struct query_check {
    const struct param *query;
    struct err *err;
    int r;
};

static enum MHD_Result check_argument(void *cls, enum MHD_ValueKind kind, const char *name,
                                      const char *value)
{
    (void)kind;
    struct query_check *c = cls;
    const struct param *p = param_find(c->query, name);
    if (!p)
        c->r = err_set(c->err, ERR_INVALID, "there is no query parameter '%.40s' here", name);
    else if ((c->r = param_check_text(p, value ? value : "", c->err)) < 0)
        c->r = err_wrap(c->err, "%s", name);
    return c->r < 0 ? MHD_NO : MHD_YES;
}

static int check_query(struct request *rq, struct err *err)
{
    struct query_check c = {.query = rq->route->query, .err = err};
    MHD_get_connection_values(rq->connection, MHD_GET_ARGUMENT_KIND, check_argument, &c);
    return c.r;
}

static bool fail(struct request *rq)
{
    rq->failed = true;
    return true;
}

static bool answer_error(struct request *rq)
{
    rq->answered = true;
    return reply_error(rq);
}

/* Root of this machine may take what it likes; what a hook asks for is part of its push. */
static bool is_counted(const struct identity *who)
{
    return who->user && !who->machine && !who->behalf;
}

/* One user must not take all connections. */
static int check_share(const struct request *rq, struct err *err)
{
    int n = 0;
    for (const struct request *other = rq->httpd->requests; other; other = other->next)
        n += is_counted(&other->who) && streq(other->who.user, rq->who.user);
    if (!is_counted(&rq->who) || n <= USER_REQUESTS_MAX)
        return 0;
    err_set(err, ERR_TOO_MANY, "%s has %d requests open already", rq->who.user, USER_REQUESTS_MAX);
    return err_hint(err, "end some of them: followed logs and events count, too");
}

/* Who, where to, and whether they may. */
static int admit(struct request *rq, struct err *err)
{
    const struct httpd_options *o = &rq->httpd->options;
    int r = o->authenticate(o->ctx, rq, &rq->who, err);
    if (r < 0 || (r = check_share(rq, err)) < 0 ||
        (r = route_find(rq->group, rq->method, rq->path, &rq->route, rq->params, err)) < 0 ||
        (r = identity_need(&rq->who, rq->route->role, err)) < 0)
        return r;
    if ((r = check_path(rq, err)) < 0 || (r = check_query(rq, err)) < 0)
        return r;
    rq->status = rq->route->status;
    rq->receive = gather;
    rq->finish = call_handler;
    return rq->route->open ? rq->route->open(rq, err) : 0;
}

static int unclean(struct err *err)
{
    return err_set(err, ERR_INVALID, "a NUL or another control character is in what was asked for");
}

/* Whether the answer comes before the body: who waits for "100 Continue" gets it instead; strangers
 * and who has too much open already may not keep the connection by sending slowly. */
static bool must_not_wait(struct request *rq)
{
    return request_header(rq, MHD_HTTP_HEADER_EXPECT) || !rq->who.user ||
           rq->err.code == ERR_TOO_MANY;
}

bool request_begin(struct request *rq, bool clean)
{
    if ((clean ? admit(rq, &rq->err) : unclean(&rq->err)) == 0)
        return true;
    fail(rq);
    return must_not_wait(rq) ? answer_error(rq) : true;
}

bool request_data(struct request *rq, const char *data, size_t *n)
{
    if (rq->gone)
        return false;
    if (rq->failed) {
        rq->discarded += *n;
        *n = 0;
        return rq->discarded <= rq->httpd->options.patience;
    }
    size_t taken = 0;
    if (rq->receive(rq, data, *n, &taken, &rq->err) < 0) {
        *n = 0;
        return fail(rq);
    }
    *n -= taken;
    if (*n)
        request_suspend(rq);
    return true;
}

bool request_end(struct request *rq)
{
    if (rq->gone || rq->answered)
        return !rq->gone;
    if (!rq->failed && rq->finish(rq, &rq->err) < 0)
        rq->failed = true;
    if (rq->failed)
        return answer_error(rq);
    rq->answered = true;
    return rq->stream ? stream_begin(rq->stream) : reply_send(rq);
}
