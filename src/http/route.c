#include "http/route.h"

#include <ctype.h>

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
    memset(params, 0, ROUTE_PARAMS_MAX * sizeof(*params)); /* a former row's */
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

const struct route_group *route_group(const struct route_group *groups, const char *path)
{
    const struct route_group *g = groups;
    while (!str_starts(str_of(path), str_of(g->prefix)) && g[1].prefix)
        g++;
    return g;
}

static void take_params(const struct str found[ROUTE_PARAMS_MAX], char *ret[ROUTE_PARAMS_MAX])
{
    for (size_t i = 0; i < ROUTE_PARAMS_MAX; i++)
        ret[i] = found[i].ptr ? xstrndup(found[i].ptr, found[i].len) : NULL;
}

int route_find(const struct route_group *g, const char *method, const char *path,
               const struct route **ret, char *params[ROUTE_PARAMS_MAX], struct err *err)
{
    struct str found[ROUTE_PARAMS_MAX] = {{0}};
    _cleanup_(buf_release) struct buf methods = BUF_INIT;
    for (const struct route *const *table = g->tables; *table; table++)
        for (const struct route *r = *table; r->path; r++) {
            if (!matches(r->path, path, found))
                continue;
            if (streq(r->method, method)) {
                take_params(found, params);
                *ret = r;
                return 0;
            }
            buf_addf(&methods, "%s%s", methods.len ? ", " : "", r->method);
        }
    if (!methods.len) {
        err_set(err, ERR_NOT_FOUND, "there is nothing at this path");
        return err_hint(err, "%s", g->hint);
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
    return ROUTE_PARAMS_MAX;
}
