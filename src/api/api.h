/* The api operator from the inside. One thread, one libuv loop. Handlers read the mirror, write
 * through change.h, and never block on anything but the disk; whoever waits for something (a build,
 * a log line) is a suspended connection with a stream, woken by what it waits for.
 *
 *   handlers.h  the table of routes and what answers them, over the room http
 *   view.h      what handlers look up
 *   change.h    a mutation: read, compare, write, audit
 *   auth.h      who is asking */
#ifndef API_API_H
#define API_API_H

#include "http/request.h"
#include "operator/operator.h"

/* The audit log's last event: the next one continues from here. */
struct event_head {
    int64_t number, oldest; /* events oldest … number are there */
    char hash[65];          /* hex sha256 of its document; empty for number 0 */
};

struct api {
    const struct config *config;
    struct op *op;
    struct httpd *httpd;
    struct git *git;
    struct route_group groups[3]; /* git's, ours, the end */
    struct event_head last_event;
    int64_t remains_due; /* mono ms: when what couldn't be removed is tried again */
};

extern const struct operator_desc api_operator;

static inline struct api *api_of(const struct request *rq) { return rq->ctx; }

#endif
