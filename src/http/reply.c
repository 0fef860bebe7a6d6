#include "http/reply.h"

#include "http/internal.h"

void reply_noun(struct buf *b, const char *name, const struct schema *s, const void *value)
{
    json_add_name(b, name);
    model_encode(s, value, b);
}

void reply_noun_with(struct buf *b, const struct schema *s, const void *value, const char *name,
                     const struct schema *extra_schema, const void *extra)
{
    reply_noun(b, NULL, s, value);
    if (!extra)
        return;
    b->ptr[--b->len] = '\0'; /* its closing brace */
    reply_noun(b, name, extra_schema, extra);
    json_add_close(b, '}');
}

void reply_map(struct buf *b, const char *name, const struct map *m)
{
    json_add_open(b, name, '{');
    for (size_t i = 0; i < m->n; i++)
        json_add_string(b, m->items[i].name, m->items[i].value);
    json_add_close(b, '}');
}

void reply_counts(struct buf *b, const char *name, const struct counts *c)
{
    json_add_open(b, name, '{');
    for (size_t i = 0; i < c->n; i++)
        json_add_int(b, c->items[i].name, c->items[i].n);
    json_add_close(b, '}');
}

/* --- sending --------------------------------------------------------------------------------- */

bool reply_queue(struct request *rq, struct MHD_Response *response)
{
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, rq->content_type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    if (rq->header_name)
        MHD_add_response_header(response, rq->header_name, rq->header_value);
    enum MHD_Result r = MHD_queue_response(rq->connection, rq->status, response);
    MHD_destroy_response(response);
    return r == MHD_YES;
}

static struct MHD_Response *response_of(struct buf *text)
{
    size_t n = text->len;
    return MHD_create_response_from_buffer(n, n ? buf_take(text) : (void *)"",
                                           n ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
}

bool reply_send(struct request *rq)
{
    if (buf_check(&rq->out, "the answer", &rq->err) < 0)
        return reply_error(rq);
    if (streq(rq->content_type, "application/json") && rq->out.len)
        buf_addc(&rq->out, '\n');
    return reply_queue(rq, response_of(&rq->out));
}

static bool wants_text(struct request *rq)
{
    const char *accept = request_header(rq, MHD_HTTP_HEADER_ACCEPT);
    return rq->group->text_errors || (accept && streq(accept, "text/plain"));
}

static void error_as_text(struct request *rq)
{
    rq->content_type = "text/plain; charset=utf-8";
    buf_addf(&rq->out, "%s\n", rq->err.msg);
    if (rq->err.hint[0])
        buf_addf(&rq->out, "%s\n", rq->err.hint);
}

static void error_as_json(struct request *rq)
{
    rq->content_type = "application/json";
    json_add_open(&rq->out, NULL, '{');
    json_add_string(&rq->out, "code", err_code_name(rq->err.code));
    json_add_string(&rq->out, "message", rq->err.msg);
    json_add_string(&rq->out, "hint", rq->err.hint);
    json_add_close(&rq->out, '}');
    buf_addc(&rq->out, '\n');
}

bool reply_error(struct request *rq)
{
    rq->status = (unsigned)err_code_http(rq->err.code);
    buf_reset(&rq->out);
    rq->out.overflow = false;
    if (wants_text(rq))
        error_as_text(rq);
    else
        error_as_json(rq);
    struct MHD_Response *response = response_of(&rq->out);
    if (rq->err.code == ERR_UNAUTHENTICATED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE,
                                "Basic realm=\"Davit\"");
    if (rq->err.code == ERR_METHOD)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW,
                                strchr(rq->err.hint, ' ') ? strchr(rq->err.hint, ' ') + 1 : "");
    return reply_queue(rq, response);
}
