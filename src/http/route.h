/* The table of routes.h as data, and matching against it. */
#ifndef HTTP_ROUTE_H
#define HTTP_ROUTE_H

#include "api/api.h"

enum { ROUTE_PARAMS_MAX = 2 };

struct request;

struct route {
    const char *method, *path;
    int (*handler)(struct request *rq, struct err *err);
    enum role role;
    const char *name, *summary, *request, *response;
};

extern const struct route routes[]; /* ended by one without a path */

/* Whether a URI as it was sent has no control character, NUL included, plain or as %XX. */
bool uri_is_clean(const char *uri);
/* The route for it; params[i] (the caller's to free) gets what stood for its i-th {…}.
 * ERR_NOT_FOUND, or ERR_METHOD with the methods that would do. */
int route_find(const char *method, const char *path, const struct route **ret,
               char *params[ROUTE_PARAMS_MAX], struct err *err);
/* Which of its parameters is called so; asking for one it doesn't have is a bug and aborts. */
size_t route_param(const struct route *r, const char *name);

#endif
