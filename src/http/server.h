/* The HTTP server of a program with one libuv loop: libmicrohttpd's epoll descriptor is one of the
 * things it waits for. It knows none of its clients: they give it their tables of routes, and who
 * is asking. One thread; nothing here may block.
 *
 *   server.h   listening sockets, libmicrohttpd on the loop
 *   route.h    tables of routes, and matching against them
 *   request.h  one request from its headers to its answer; identity.h: who asked
 *   body.h     JSON in; reply.h: JSON out
 *   stream.h   an answer that goes on; fdwatch.h: a descriptor it waits for */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <sys/types.h>
#include <uv.h>

#include "http/identity.h"
#include "http/route.h"

struct httpd;
struct request;

struct httpd_options {
    uv_loop_t *loop;
    /* Ended by one without a prefix. The first whose prefix the path has gets the request. */
    const struct route_group *groups;
    /* Bytes of a body that are read and thrown away for who is known, so that they get to hear what
     * was wrong with the request. */
    uint64_t patience;
    void *ctx; /* for the two below */
    /* Who asks. ERR_UNAUTHENTICATED, ERR_FORBIDDEN; then *ret may be filled in part. */
    int (*authenticate)(void *ctx, struct request *rq, struct identity *ret, struct err *err);
    /* Whether they might still do what they were let in for. */
    bool (*holds)(void *ctx, const struct identity *who);
};

/* The options' groups must outlive it, all else is copied. */
struct httpd *httpd_new(const struct httpd_options *o);
/* Opens a socket at the path. `door` is the client's name for it (request_door). */
int httpd_listen(struct httpd *h, const char *path, mode_t mode, int door, struct err *err);
/* Streams that wait for something in the store look again; requests end that no longer hold. */
void httpd_changed(struct httpd *h);
/* Ends every connection and removes the sockets. NULL is fine. The loop must not run any more. */
void httpd_free(struct httpd *h);

#endif
