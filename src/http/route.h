/* Tables of routes, and matching against them. */
#ifndef HTTP_ROUTE_H
#define HTTP_ROUTE_H

#include "http/param.h"
#include "model/nouns.h"

enum { ROUTE_PARAMS_MAX = 2 };

struct request;

/* What a success answers. Only the status matters here; the rest is for the description. */
enum reply_kind {
    REPLY_NOTHING,
    REPLY_NOUN,   /* one, of `noun` */
    REPLY_LIST,   /* {"items": […]} of them; `next` says where the next page begins */
    REPLY_TEXTS,  /* names to texts */
    REPLY_COUNTS, /* names to whole numbers */
    REPLY_STREAM, /* of `media` */
};

struct route {
    const char *method;
    const char *path; /* "/v1/apps/{app}": {x} is any one component that is not empty */
    /* Makes the answer, or an error. The body has been gathered in rq->body, unless: */
    int (*handler)(struct request *rq, struct err *err);
    /* Called before the body comes: may say where it goes (rq->receive) and what it needs is freed
     * (rq->release). NULL: it is gathered. */
    int (*open)(struct request *rq, struct err *err);
    enum role role; /* the least that may call it */
    const char *name, *summary;
    const struct param *query;  /* no others are taken */
    const struct param *fields; /* of the body, one JSON object; NULL: there is none */
    const char *body;           /* media type of a body that is no JSON */
    unsigned status;            /* of a success */
    enum reply_kind reply;
    const struct schema *noun;
    const struct schema *inside; /* one more field of it, */
    const char *inside_as;       /* called so; NULL: status */
    const char *media;
};

/* The routes of one client. */
struct route_group {
    const char *prefix;                /* of the paths */
    const struct route *const *tables; /* NULL ends them, and one without a path each of them */
    const struct param *params;        /* what {x} may be; those not named: anything */
    void *ctx;                         /* the client's: rq->ctx */
    const char *hint;                  /* for who asks for what isn't there */
    bool text_errors;                  /* errors are always text/plain */
};

/* Whether a URI as it was sent has no control character, NUL included, plain or as %XX. */
bool uri_is_clean(const char *uri);
/* The group for a path: the last one if none has its prefix. */
const struct route_group *route_group(const struct route_group *groups, const char *path);
/* The route for it; params[i] (the caller's to free) gets what stood for its i-th {…}.
 * ERR_NOT_FOUND, or ERR_METHOD with the methods that would do. */
int route_find(const struct route_group *g, const char *method, const char *path,
               const struct route **ret, char *params[ROUTE_PARAMS_MAX], struct err *err);
/* Which of its parameters is called so; ROUTE_PARAMS_MAX: none. */
size_t route_param(const struct route *r, const char *name);

#endif
