/* Config variables: each change is a new revision, and where something is deployed a new release
 * with it. */
#include "api/change.h"
#include "api/routes.h"
#include "api/releases.h"
#include "http/reply.h"
#include "api/view.h"
#include "model/names.h"
#include "operator/current.h"

static int config_get(struct request *rq, struct err *err)
{
    const struct app *a;
    int r = request_app(rq, &a, err);
    if (r < 0)
        return r;
    const struct config_vars *v = view_config(api_of(rq), a->name);
    reply_map(&rq->out, NULL, v ? &v->vars : &(struct map){0});
    return 0;
}

struct patch {
    const char *app;
    const json_t *body; /* name → string, or null to unset */
    bool release;       /* make one */
    int64_t ret_release;
};

static int check_size(const struct map *vars, struct err *err)
{
    size_t total = 0;
    for (size_t i = 0; i < vars->n; i++)
        total += strlen(vars->items[i].name) + strlen(vars->items[i].value);
    if (total <= CONFIG_VARS_MAX)
        return 0;
    err_set(err, ERR_TOO_LARGE, "all variables together would have %zu bytes, at most %d fit",
            total, CONFIG_VARS_MAX);
    return err_hint(err, "keep large values in a file of the app");
}

/* Applies it; *ret_what becomes "Set A, B" / "Unset C" / "Set A, unset C". False: nothing changes.
 */
static bool apply(const json_t *body, struct map *vars, struct buf *ret_what)
{
    _cleanup_(buf_release) struct buf set = BUF_INIT, unset = BUF_INIT;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)body, name, value)
    {
        const char *old = map_get(vars, name), *new = json_string_value(value);
        if (!old == !new && (!old || streq(old, new)))
            continue;
        struct buf *list = new ? &set : &unset;
        buf_addf(list, "%s%s", list->len ? ", " : "", name);
        if (new)
            map_set(vars, name, new);
        else
            map_unset(vars, name);
    }
    if (set.len)
        buf_addf(ret_what, "Set %s", set.ptr);
    if (unset.len)
        buf_addf(ret_what, set.len ? ", unset %s" : "Unset %s", unset.ptr);
    return ret_what->len > 0;
}

/* The release that carries revision `number`: a copy of the current one. */
static int deploy(struct change *c, struct patch *p, int64_t number, const char *what,
                  struct err *err)
{
    const struct release *now = view_current(c->api, p->app);
    if (!now || now->config == number)
        return 0;
    struct release_from from = {
        .app = p->app, .from = now->number, .config = number, .description = what};
    return release_copy(c, &from, &p->ret_release, err);
}

/* The next release takes it, whatever makes it. */
static int leave_for_next(struct change *c, const char *app, int64_t number, struct err *err)
{
    _cleanup_free_ char *key = key_desired(app);
    _cleanup_(desired_release) struct desired d = {0};
    int r = change_read(c, key, &desired_schema, &d, err);
    if (r < 0)
        return r;
    d.config = number;
    change_put(c, key, &desired_schema, &d);
    return 0;
}

static void put_revision(struct change *c, const char *app, struct config_vars *v)
{
    _cleanup_free_ char *key = key_config_vars(app, v->number);
    v->created = xstrdup(c->now);
    v->by = xstrdup(c->who->user);
    change_new(c, key, &config_vars_schema, v);
}

static int patch(struct change *c, void *arg, struct err *err)
{
    struct patch *p = arg;
    int64_t newest;
    const struct config_vars *now = current_config(operator_mirror(c->api->op), p->app, &newest);
    _cleanup_(config_vars_release) struct config_vars v = {0};
    _cleanup_(buf_release) struct buf what = BUF_CAP(512);
    if (now)
        map_copy(&v.vars, &now->vars);
    bool changed = apply(p->body, &v.vars, &what);
    int r = check_size(&v.vars, err);
    if (r < 0)
        return r;
    v.number = changed ? newest + 1 : now ? now->number : 0;
    if (changed) {
        put_revision(c, p->app, &v);
        buf_adds(&c->detail, what.ptr);
    }
    p->ret_release = 0;
    if (p->release)
        r = deploy(c, p, v.number, changed ? what.ptr : "Config set before", err);
    else if (changed)
        r = leave_for_next(c, p->app, v.number, err);
    return r < 0 ? r : !changed && !p->ret_release;
}

static int config_set(struct request *rq, struct err *err)
{
    const struct app *a;
    int r = request_app(rq, &a, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *name = xstrdup(a->name);
    struct patch p = {.app = name, .body = rq->json, .release = request_number(rq, "restart")};
    r = change_make(api_of(rq), &rq->who, "config.set", name, patch, &p, err);
    if (r < 0)
        return r;
    const struct config_vars *v = view_config(api_of(rq), name);
    json_add_open(&rq->out, NULL, '{');
    json_add_int(&rq->out, "release", p.ret_release);
    reply_map(&rq->out, "vars", v ? &v->vars : &(struct map){0});
    json_add_close(&rq->out, '}');
    return 0;
}

/* clang-format off */
static const struct schema config_set_reply = {
    "config_set", .fields = (const struct field[]){
        SHOWN(INT, "release", "the release that was made; 0: none"),
        SHOWN(MAP, "vars", "all variables"), {0}}, .doc = "A change of variables"};

const struct route config_routes[] = {
    ROUTE(GET, "/v1/apps/{app}/config", config_get, DEVELOPER, "Config variables", .status = MHD_HTTP_OK, .reply = REPLY_TEXTS),
    ROUTE(PATCH, "/v1/apps/{app}/config", config_set, DEVELOPER, "Set and unset (null)",
          QUERY({"restart", "0 makes no release: the next one has it", PARAM_NUMBER, .max = 1, .otherwise = 1}),
          FIELDS({"variable", "its value; null unsets it", PARAM_TEXT, .any = true, .nullable = true,
                  .names = &(const struct text_kind){"^(?!PORT$|DAVIT_)[A-Za-z_][A-Za-z0-9_]*$", 0, config_name_check}}),
          ONE(config_set_reply)),
    {0},
};
/* clang-format on */
