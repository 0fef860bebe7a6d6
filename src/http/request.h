/* One request: begin (headers: find the route, who is asking, may they), data (pieces of the body),
 * end (the answer). An error at any point is remembered, the rest of the body is thrown away, and
 * the answer is the error as JSON; for git as text. */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include <microhttpd.h>

#include "api/auth.h"
#include "http/route.h"

enum {
    BODY_MAX = 1 << 20, /* of a JSON body */
    REPLY_MAX = 64 << 20,
    USER_REQUESTS_MAX = 64, /* open ones of one user; the sockets take 512 connections each */
};

struct request {
    struct api *api;
    struct server *server;
    struct MHD_Connection *connection;
    char *method, *path;
    const struct route *route; /* NULL: git */
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

    /* The answer: `out` with `status` and `content_type`, or a stream. */
    unsigned status;
    const char *content_type;
    struct buf out;
    struct stream *stream;
    char *build_id; /* header Davit-Build */

    struct err err;
    uint64_t discarded;
    bool failed, answered;
    bool suspended;
    bool gone; /* the client is */
    struct fdwatch *leash;
    struct request *next, **link; /* in api->requests */
};

/* For server.c. The bool is false when the connection is to be closed. */
struct request *request_new(struct server *s, struct MHD_Connection *c, const char *method,
                            const char *path);
bool request_begin(struct request *rq, bool clean); /* clean: its URI is */
bool request_data(struct request *rq, const char *data, size_t *n);
bool request_end(struct request *rq);
void request_free(struct request *rq);

/* For handlers. */
const char *request_header(struct request *rq, const char *name); /* NULL: none */
const char *request_query(struct request *rq,
                          const char *name); /* NULL: none; "" without a value */
const char *request_param(struct request *rq, const char *name); /* what stood for {name} */
/* A whole number from the query within the range, else `otherwise` if it isn't there. */
int request_number(struct request *rq, const char *name, uint64_t min, uint64_t max,
                   uint64_t otherwise, uint64_t *ret, struct err *err);
/* The app of {app}, from the mirror. ERR_NOT_FOUND, ERR_INVALID. */
int request_app(struct request *rq, const struct app **ret, struct err *err);

/* Stops libmicrohttpd from looking at the connection until request_resume. Meanwhile a client that
 * hangs up is noticed. */
void request_suspend(struct request *rq);
void request_resume(struct request *rq);

/* Streams that wait for something in the store look again; requests end whose user or token is gone
 * or no longer has the role. */
void requests_changed(struct api *api);
/* Before the end of the process: every client is as good as gone. */
void requests_hang_up(struct api *api);

#endif
