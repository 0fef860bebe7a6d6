#include "http/internal.h"

void stream_init(struct stream *s, const struct stream_ops *ops, struct request *rq)
{
    s->ops = ops;
    s->rq = rq;
    s->pending = BUF_CAP(STREAM_PENDING);
    rq->stream = s;
}

size_t stream_room(const struct stream *s) { return s->pending.cap - s->pending.len; }

static ssize_t read_stream(void *cls, uint64_t pos, char *buf, size_t max)
{
    (void)pos;
    struct stream *s = cls;
    if (s->rq->gone)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (!s->pending.len && !s->done)
        s->ops->fill(s);
    size_t n = MIN(max, s->pending.len);
    if (n) {
        memcpy(buf, s->pending.ptr, n);
        buf_consume(&s->pending, n);
        return (ssize_t)n;
    }
    if (!s->done) {
        request_suspend(s->rq);
        return 0;
    }
    if (s->result)
        MHD_add_response_footer(s->response, "Davit-Result", s->result);
    s->finished = true;
    return MHD_CONTENT_READER_END_OF_STREAM;
}

bool stream_begin(struct stream *s)
{
    s->response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16 * 1024, read_stream, s, NULL);
    if (s->result || s->ops->on_change)
        MHD_add_response_header(s->response, MHD_HTTP_HEADER_TRAILER, "Davit-Result");
    s->rq->content_type = s->ops->content_type;
    return reply_queue(s->rq, s->response);
}

void stream_poke(struct stream *s)
{
    if (!s->rq->suspended || !s->response)
        return; /* it will be read anyway */
    if (!s->pending.len && !s->done)
        s->ops->fill(s);
    if (s->pending.len || s->done)
        request_resume(s->rq);
}

void stream_free(struct stream *s)
{
    if (!s)
        return;
    buf_release(&s->pending);
    s->ops->release(s);
}
