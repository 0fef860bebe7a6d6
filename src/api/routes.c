#include "api/handlers.h"

#define GET "GET"
#define POST "POST"
#define PUT "PUT"
#define PATCH "PATCH"
#define DELETE "DELETE"
#define ROUTE(m, p, handler, ...) ROUTE_OPEN(m, p, handler, NULL, __VA_ARGS__)
#define ROUTE_OPEN(method_, path_, handler_, open_, role_, summary_, request_, response_)          \
    {.method = method_,                                                                            \
     .path = path_,                                                                                \
     .handler = handle_##handler_,                                                                 \
     .open = open_,                                                                                \
     .role = ROLE_##role_,                                                                         \
     .name = #handler_,                                                                            \
     .summary = summary_,                                                                          \
     .request = request_,                                                                          \
     .response = response_},
const struct route api_routes[] = {
#include "api/routes.h"
    {0},
};
#undef ROUTE
#undef ROUTE_OPEN

struct route_group api_group(struct api *api)
{
    static const struct route *const tables[] = {api_routes, NULL};
    return (struct route_group){.prefix = "/",
                                .tables = tables,
                                .ctx = api,
                                .hint = "GET /v1/openapi.yaml lists what there is"};
}
