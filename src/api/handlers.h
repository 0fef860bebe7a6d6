/* One handler a route: makes the answer, or an error. */
#ifndef API_HANDLERS_H
#define API_HANDLERS_H

#include "http/request.h"

#define ROUTE(method_, path_, handler, role_, summary_, request_, response_)                       \
    int handle_##handler(struct request *rq, struct err *err);
#include "api/routes.h"
#undef ROUTE

/* The one route whose body is a stream: says where it goes before it comes. */
int open_builds_create(struct request *rq, struct err *err);

#endif
