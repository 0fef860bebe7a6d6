/* The api operator from the inside. One thread, one libuv loop: libmicrohttpd's epoll descriptor is
 * one of the things it waits for. Handlers read the mirror, write through change.h, and never block
 * on anything but the disk; whoever waits for something (a build, a log line, git) is a suspended
 * connection with a stream, woken by what it waits for.
 *
 *   server.h   listening sockets, libmicrohttpd on the loop
 *   request.h  one request from its headers to its answer
 *   stream.h   an answer that goes on
 *   change.h   a mutation: read, compare, write, audit
 *   auth.h     who is asking
 *   body.h     JSON in; reply.h JSON out */
#ifndef API_API_H
#define API_API_H

#include "model/nouns.h"
#include "operator/operator.h"

/* The audit log's last event: the next one continues from here. */
struct event_head {
    int64_t number, oldest; /* events oldest … number are there */
    char hash[65];          /* hex sha256 of its document; empty for number 0 */
};

struct api {
    const struct config *config;
    struct op *op;
    struct server *local, *gateway;
    struct event_head last_event;
    struct request *requests; /* open ones */
    struct upkeep *upkeep;
    int64_t remains_due; /* mono ms: when what couldn't be removed is tried again */
};

extern const struct operator_desc api_operator;

#endif
