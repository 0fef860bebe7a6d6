/* An answer that goes on: chunked, each piece sent as soon as it is there, the connection suspended
 * in between. A concrete stream has a struct stream as its first member. */
#ifndef HTTP_STREAM_H
#define HTTP_STREAM_H

#include "http/request.h"

struct stream;

struct stream_ops {
    const char *content_type;
    /* Adds to s->pending what is there, at most stream_room(s) bytes; sets s->done when nothing
     * more will come. */
    void (*fill)(struct stream *s);
    /* Frees it, its container included. !s->finished: the client went before the end. */
    void (*release)(struct stream *s);
    bool on_change; /* filled again after each change in the store */
};

struct stream {
    const struct stream_ops *ops;
    struct request *rq;
    struct MHD_Response *response;
    struct buf pending;
    const char *result; /* for the trailer Davit-Result; NULL: none */
    bool done;          /* set by fill */
    bool finished;      /* everything was handed over */
};

enum { STREAM_PENDING = 64 * 1024 };

/* The stream becomes the answer of rq, which owns it from now on. */
void stream_init(struct stream *s, const struct stream_ops *ops, struct request *rq);
size_t stream_room(const struct stream *s);
/* Something happened that this stream may be waiting for. */
void stream_poke(struct stream *s);

#endif
