/* One handler a route: makes the answer, or an error. */
#ifndef API_HANDLERS_H
#define API_HANDLERS_H

#include "api/api.h"

#define ROUTE(method, path, handler, ...) int handle_##handler(struct request *rq, struct err *err);
#define ROUTE_OPEN ROUTE
#include "api/routes.h"
#undef ROUTE
#undef ROUTE_OPEN

extern const struct route api_routes[];
struct route_group api_group(struct api *api); /* for the server; NULL for the description */

/* The one route whose body is a stream: says where it goes before it comes. */
int open_builds_create(struct request *rq, struct err *err);

/* In apps.c: the change behind `davit apps create` and a first push. */
int app_create(struct api *api, const struct identity *who, const char *name, struct err *err);

#endif
