/* HTTP client on libcurl: one request, blocking, over TCP, TLS or a Unix socket. Bodies may stream
 * both ways. Not for event loops; one thread at a time. */
#ifndef WIRE_HTTP_H
#define WIRE_HTTP_H

#include <stdint.h>

#include "base/str.h"

enum { HTTP_BODY_MAX = 64 << 20, HTTP_HEADERS_MAX = 64 << 10 };

struct http_request {
    const char *method;
    const char *url;          /* absolute */
    const char *socket;       /* path of the Unix socket to connect to instead of the URL's host */
    const char *host;         /* sent as Host instead of the URL's; NULL: the URL's */
    const char *token;        /* sent as a bearer token; NULL: none */
    const char *content_type; /* of the body */
    struct str body;          /* ptr NULL: none; or */
    int body_fd;              /* read to its end and sent as it comes; 0: none */
    /* The body of a 2xx answer goes here as it arrives; another value than 0 breaks off. NULL: it
     * is kept in the response. */
    int (*sink)(void *ctx, const char *data, size_t n);
    void *ctx;
    int64_t timeout_ms; /* for all of it; 0: none */
};

struct http_response {
    int status;
    struct buf body;    /* of answers that did not go to the sink, at most HTTP_BODY_MAX */
    struct buf headers; /* lines as they came, trailers behind the headers */
};

void http_response_release(struct http_response *r);
/* 0 when an answer came, whatever its status. ERR_UNAVAILABLE: nobody answers there; ERR_TIMEOUT;
 * ERR_IO: it broke off. *ret is set even on errors: what came before. */
int http_send(const struct http_request *q, struct http_response *ret, struct err *err);
/* The value of the last header or trailer with that name; ptr NULL: there is none. */
struct str http_header(const struct http_response *r, const char *name);

#endif
