/* One request: begin (headers: find the route, who is asking, may they), data (pieces of the body),
 * end (the answer). An error at any point is remembered, the rest of the body is thrown away, and
 * the answer is the error as JSON, or as text. */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include <microhttpd.h>

#include <uv.h>

#include "http/identity.h"
#include "http/route.h"

enum {
    BODY_MAX = 1 << 20, /* of a JSON body */
    REPLY_MAX = 64 << 20,
    USER_REQUESTS_MAX = 64, /* open ones of one user; the sockets take 512 connections each */
};

struct request {
    struct httpd *httpd;
    struct door *door;
    struct MHD_Connection *connection;
    char *method, *path;
    const struct route_group *group;
    void *ctx; /* the group's */
    const struct route *route;
    char *params[ROUTE_PARAMS_MAX];
    struct identity who;

    /* What happens to the body; by default it is gathered in `body`. `receive` may take less than
     * n: the connection is suspended until request_resume. `finish` makes the answer. */
    int (*receive)(struct request *rq, const char *data, size_t n, size_t *ret_taken,
                   struct err *err);
    int (*finish)(struct request *rq, struct err *err);
    void (*release)(struct request *rq); /* frees `state` */
    void *state;
    struct buf body;
    json_t *json; /* the body, where the route has fields */

    /* The answer: `out` with `status` and `content_type`, or a stream. */
    unsigned status;
    const char *content_type;
    struct buf out;
    struct stream *stream;
    const char *header_name; /* one more header; NULL: none */
    char *header_value;

    struct err err;
    uint64_t discarded;
    bool failed, answered;
    bool suspended;
    bool gone; /* the client is */
    struct fdwatch *leash;
    struct request *next, **link; /* in httpd->requests */
};

const char *request_header(struct request *rq, const char *name); /* NULL: none */
const char *request_query(struct request *rq,
                          const char *name); /* NULL: none; "" without a value */
const char *request_param(struct request *rq, const char *name); /* what stood for {name} */
/* A number of the query as the row declares it. */
int64_t request_number(struct request *rq, const char *name);
/* Fields of the body, checked as the row declares them. */
const char *body_text(const struct request *rq, const char *name); /* NULL: not there, or null */
int64_t body_number(const struct request *rq, const char *name);
bool body_flag(const struct request *rq, const char *name);
int request_door(const struct request *rq);        /* httpd_listen's number */
int request_socket(const struct request *rq);      /* the connection's descriptor */
uv_loop_t *request_loop(const struct request *rq); /* for what it waits for */

/* Stops libmicrohttpd from looking at the connection until request_resume. Meanwhile a client that
 * hangs up is noticed. */
void request_suspend(struct request *rq);
void request_resume(struct request *rq);

#endif
