/* Further host names of an app; a host belongs to at most one. */
#include "api/change.h"
#include "api/routes.h"
#include "api/view.h"
#include "http/reply.h"
#include "model/names.h"

static int domains_list(struct request *rq, struct err *err)
{
    const struct app *a;
    int r = request_app(rq, &a, err);
    if (r < 0)
        return r;
    const struct domain *d;
    struct page p = page_begin(rq);
    struct mirror_iter i = page_of(&p, &domain_schema, a->name);
    while ((d = mirror_each(&i)) && page_item(&p, d->host))
        reply_noun(&rq->out, NULL, &domain_schema, d);
    page_end(&p);
    return 0;
}

/* Who has it; false: nobody. */
static bool taken_by(struct api *api, const char *host, char **ret_app)
{
    for (struct mirror_iter i = mirror_of(operator_mirror(api->op), &domain_schema, NULL);
         mirror_next(&i);)
        if (str_eq(i.parts[1], str_of(host))) {
            *ret_app = xstrndup(i.parts[0].ptr, i.parts[0].len);
            return true;
        }
    return false;
}

struct name {
    const char *app, *host;
};

static int add(struct change *c, void *arg, struct err *err)
{
    struct name *n = arg;
    _cleanup_free_ char *other = NULL, *app_key = key_app(n->app),
                        *key = key_domain(n->app, n->host);
    _cleanup_(app_release) struct app a = {0};
    int r = change_read(c, app_key, &app_schema, &a, err);
    if (r < 0)
        return r;
    if (taken_by(c->api, n->host, &other)) {
        err_set(err, ERR_EXISTS, "%s already belongs to the app '%s'", n->host, other);
        return err_hint(err, "davit domains remove %s -a %s frees it", n->host, other);
    }
    struct domain d = {.host = (char *)n->host, .created = c->now};
    change_new(c, key, &domain_schema, &d);
    buf_adds(&c->detail, n->host);
    return 0;
}

/* APP.DOMAIN and api.DOMAIN are not to be had. */
static int check_not_ours(struct request *rq, const char *host, struct err *err)
{
    struct str ours = str_of(api_of(rq)->config->domain), h = str_of(host);
    bool below = h.len > ours.len && host[h.len - ours.len - 1] == '.' &&
                 streq(host + h.len - ours.len, ours.ptr);
    if (!below && !str_eq(h, ours))
        return 0;
    err_set(err, ERR_INVALID, "names below %s are Davit's own", ours.ptr);
    return err_hint(err, "an app answers at APP.%s anyway", ours.ptr);
}

static int domains_add(struct request *rq, struct err *err)
{
    const struct app *a;
    struct name n = {.host = body_text(rq, "host")};
    int r = request_app(rq, &a, err);
    if (r < 0 || (r = check_not_ours(rq, n.host, err)) < 0)
        return r;
    _cleanup_free_ char *name = xstrdup(a->name);
    n.app = name;
    r = change_make(api_of(rq), &rq->who, "domain.add", name, add, &n, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *key = key_domain(name, n.host);
    const struct domain *d = mirror_get(operator_mirror(api_of(rq)->op), key, &domain_schema, NULL);
    reply_noun(&rq->out, NULL, &domain_schema, d ? d : &(struct domain){.host = (char *)n.host});
    return 0;
}

static int drop(struct change *c, void *arg, struct err *err)
{
    struct name *n = arg;
    _cleanup_free_ char *key = key_domain(n->app, n->host);
    _cleanup_(domain_release) struct domain d = {0};
    int r = change_read(c, key, &domain_schema, &d, err);
    if (r == -ERR_NOT_FOUND) {
        err_set(err, ERR_NOT_FOUND, "%s has no host name '%s'", n->app, n->host);
        return err_hint(err, "davit domains -a %s lists them", n->app);
    }
    if (r < 0)
        return r;
    change_delete(c, key);
    buf_adds(&c->detail, n->host);
    return 0;
}

static int domains_remove(struct request *rq, struct err *err)
{
    const struct app *a;
    struct name n = {.host = request_param(rq, "host")};
    int r = request_app(rq, &a, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *name = xstrdup(a->name);
    n.app = name;
    r = change_make(api_of(rq), &rq->who, "domain.remove", name, drop, &n, err);
    return r;
}

/* clang-format off */
const struct route domain_routes[] = {
    ROUTE(GET, "/v1/apps/{app}/domains", domains_list, VIEWER, "Further host names", QUERY(PAGED), LIST_OF(domain_schema)),
    ROUTE(POST, "/v1/apps/{app}/domains", domains_add, DEVELOPER, "Add a host name",
          FIELDS({"host", "the host name", .kind = &kind_host, .required = true}), CREATED(domain_schema)),
    ROUTE(DELETE, "/v1/apps/{app}/domains/{host}", domains_remove, DEVELOPER, "Remove a host name", NOTHING),
    {0},
};
/* clang-format on */
