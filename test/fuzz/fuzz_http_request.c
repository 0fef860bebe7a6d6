/* What the api parses itself of a request: the JSON body, the Authorization header, the path. */
#include "api/auth.h"
#include "api/routes.h"
#include "http/body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str text = {(const char *)data, n};
    struct err err;
    json_t *body = NULL;
    if (body_object(text, &body, &err) == 0 && !json_is_object(body))
        abort();
    json_decref(body);

    _cleanup_free_ char *string = xstrndup(text.ptr, n);
    free(token_from_header(string));

    const struct route *route;
    char *params[ROUTE_PARAMS_MAX] = {0};
    const struct route_group g = api_group(NULL);
    route_find(&g, "GET", string, &route, params, &err);
    for (size_t i = 0; i < ROUTE_PARAMS_MAX; i++)
        free(params[i]);

    return 0;
}
