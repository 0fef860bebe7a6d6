/* The tables of routes, one a noun, each at the end of the file with its handlers. Dispatch,
 * authorisation, the checks of paths, queries and bodies, and docs/openapi.yaml come from them. A
 * new route is one row.
 *
 * Errors are {"code", "message", "hint"} with the status of base/err_codes.h. */
#ifndef API_ROUTES_H
#define API_ROUTES_H

#include "api/page.h"

extern const struct route app_routes[], process_routes[], config_routes[], release_routes[],
    domain_routes[], log_routes[], build_routes[], event_routes[], token_routes[], user_routes[],
    platform_routes[];
extern const struct route *const api_routes[]; /* ended by NULL */
extern const struct param api_params[];        /* of paths */

struct route_group api_group(struct api *api); /* for the server */

/* Kinds of texts that more than one row has. */
extern const struct text_kind kind_app, kind_user, kind_host;

/* A row: method, path, handler, the least role, what it does; then what it takes and answers. */
#define ROUTE(method_, path_, handler_, role_, summary_, ...)                                      \
    {                                                                                              \
        .method = #method_, .path = path_, .handler = handler_, .name = #handler_,                 \
        .role = ROLE_##role_, .summary = summary_, __VA_ARGS__                                     \
    }
#define QUERY(...)                                                                                 \
    .query = (const struct param[])                                                                \
    {                                                                                              \
        __VA_ARGS__, { 0 }                                                                         \
    }
#define FIELDS(...)                                                                                \
    .fields = (const struct param[])                                                               \
    {                                                                                              \
        __VA_ARGS__, { 0 }                                                                         \
    }
#define ONE(noun_) .status = MHD_HTTP_OK, .reply = REPLY_NOUN, .noun = &(noun_)
#define CREATED(noun_) .status = MHD_HTTP_CREATED, .reply = REPLY_NOUN, .noun = &(noun_)
#define LIST_OF(noun_) .status = MHD_HTTP_OK, .reply = REPLY_LIST, .noun = &(noun_)
#define NOTHING .status = MHD_HTTP_NO_CONTENT
#define STREAM(media_) .status = MHD_HTTP_OK, .reply = REPLY_STREAM, .media = media_

/* Documents that aren't nouns of the store: each of their fields is always there. */
#define SHOWN(kind, name_, doc_)                                                                   \
    {                                                                                              \
        .name = name_, .type = FIELD_##kind, .required = true, .doc = doc_                         \
    }

#endif
