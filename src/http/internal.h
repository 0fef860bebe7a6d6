/* What the files of this room know of each other. */
#ifndef HTTP_INTERNAL_H
#define HTTP_INTERNAL_H

#include "http/request.h"
#include "http/server.h"
#include "http/stream.h"

struct httpd {
    struct httpd_options options;
    struct door *doors;
    struct request *requests; /* open ones */
};

/* For server.c. The bool is false when the connection is to be closed. */
struct request *request_new(struct httpd *h, struct door *d, struct MHD_Connection *c,
                            const char *method, const char *path);
bool request_begin(struct request *rq, bool clean); /* clean: its URI is */
bool request_data(struct request *rq, const char *data, size_t *n);
bool request_end(struct request *rq);
void request_free(struct request *rq);
/* Before the end of the process: every client is as good as gone. */
void requests_hang_up(struct httpd *h);

/* A connection of this door was resumed: let libmicrohttpd look at it soon. */
void door_kick(struct door *d);

/* For request.c. */
bool stream_begin(struct stream *s);
void stream_free(struct stream *s);
/* What rq->out holds, or the error, as the answer. False when libmicrohttpd refuses. */
bool reply_send(struct request *rq);
bool reply_error(struct request *rq);
/* Adds the headers every answer has; drops its reference to the response. */
bool reply_queue(struct request *rq, struct MHD_Response *response);

#endif
