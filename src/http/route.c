#include "http/route.h"

#include <ctype.h>

#include "api/handlers.h"

#define GET "GET"
#define POST "POST"
#define PUT "PUT"
#define PATCH "PATCH"
#define DELETE "DELETE"
#define ROUTE(method_, path_, handler_, role_, summary_, request_, response_)                      \
    {.method = method_,                                                                            \
     .path = path_,                                                                                \
     .handler = handle_##handler_,                                                                 \
     .role = ROLE_##role_,                                                                         \
     .name = #handler_,                                                                            \
     .summary = summary_,                                                                          \
     .request = request_,                                                                          \
     .response = response_},
const struct route routes[] = {
#include "api/routes.h"
    {0},
};
#undef ROUTE

/* "%00" to "%1f", and "%7f". */
static bool is_escaped_control(const char *p)
{
    return p[0] == '%' && (((p[1] == '0' || p[1] == '1') && isxdigit((unsigned char)p[2])) ||
                           (p[1] == '7' && (p[2] == 'f' || p[2] == 'F')));
}

bool uri_is_clean(const char *uri)
{
    for (; *uri; uri++)
        if ((unsigned char)*uri < ' ' || *uri == 127 || is_escaped_control(uri))
            return false;
    return true;
}

/* Compares component by component; a {…} takes any that is not empty. */
static bool matches(const char *pattern, const char *path, struct str params[ROUTE_PARAMS_MAX])
{
    struct str want = str_of(pattern), have = str_of(path);
    size_t n = 0;
    while (want.ptr && have.ptr) {
        struct str w = str_cut(&want, '/'), h = str_cut(&have, '/');
        if (w.len && w.ptr[0] == '{') {
            if (!h.len || n == ROUTE_PARAMS_MAX)
                return false;
            params[n++] = h;
        } else if (!str_eq(w, h)) {
            return false;
        }
    }
    return !want.ptr && !have.ptr;
}

int route_find(const char *method, const char *path, const struct route **ret,
               char *params[ROUTE_PARAMS_MAX], struct err *err)
{
    struct str found[ROUTE_PARAMS_MAX] = {{0}};
    _cleanup_(buf_release) struct buf methods = BUF_INIT;
    for (const struct route *r = routes; r->path; r++) {
        if (!matches(r->path, path, found))
            continue;
        if (streq(r->method, method)) {
            for (size_t i = 0; i < ROUTE_PARAMS_MAX; i++)
                params[i] = found[i].ptr ? xstrndup(found[i].ptr, found[i].len) : NULL;
            *ret = r;
            return 0;
        }
        buf_addf(&methods, "%s%s", methods.len ? ", " : "", r->method);
    }
    if (!methods.len) {
        err_set(err, ERR_NOT_FOUND, "there is nothing at this path");
        return err_hint(err, "GET /v1/openapi.yaml lists what there is");
    }
    err_set(err, ERR_METHOD, "%s doesn't apply here", method);
    return err_hint(err, "possible: %s", methods.ptr);
}

size_t route_param(const struct route *r, const char *name)
{
    size_t at = 0;
    for (const char *p = strchr(r->path, '{'); p; p = strchr(p + 1, '{'), at++)
        if (strncmp(p + 1, name, strlen(name)) == 0 && p[1 + strlen(name)] == '}')
            return at;
    abort();
}
