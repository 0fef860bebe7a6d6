/* Apps: create, list, show; what runs of them and how many. */
#include <errno.h>

#include "api/apps.h"
#include "base/array.h"
#include "api/change.h"
#include "api/routes.h"
#include "api/remains.h"
#include "http/reply.h"
#include "api/view.h"
#include "base/log.h"
#include "model/names.h"
#include "os/file.h"

enum { INSTANCES_PER_TYPE_MAX = 100 };

/* --- create ---------------------------------------------------------------------------------- */

static int create(struct change *c, void *arg, struct err *err)
{
    const char *name = arg;
    _cleanup_free_ char *key = key_app(name), *desired_key = key_desired(name);
    _cleanup_(app_release) struct app old = {0};
    int r = change_read(c, key, &app_schema, &old, err);
    if (r == 0) {
        err_set(err, ERR_EXISTS, "the app '%s' is already there", name);
        return err_hint(err, "it belongs to %s; choose another name", old.owner ? old.owner : "?");
    }
    if (r != -ERR_NOT_FOUND)
        return r;
    if ((r = remains_check(c, name, err)) < 0)
        return r;
    struct app a = {.name = (char *)name, .owner = c->who->user, .created = c->now};
    struct desired d = {0};
    change_put(c, key, &app_schema, &a);
    change_new(c, desired_key, &desired_schema, &d);
    return 0;
}

int app_create(struct api *api, const struct identity *who, const char *name, struct err *err)
{
    int r = app_name_check(name, err);
    return r < 0 ? r : change_make(api, who, "app.create", name, create, (void *)name, err);
}

static void add_summary(struct request *rq, const struct app *a)
{
    _cleanup_free_ char *url = view_web_url(api_of(rq), a->name);
    json_add_string(&rq->out, "name", a->name);
    json_add_string(&rq->out, "owner", a->owner);
    json_add_string(&rq->out, "created", a->created);
    json_add_string(&rq->out, "url", url);
}

static void add_git_url(struct request *rq, const struct app *a)
{
    _cleanup_free_ char *git_url = view_git_url(api_of(rq)->config, a->name);
    json_add_string(&rq->out, "git_url", git_url);
}

static int apps_create(struct request *rq, struct err *err)
{
    const char *name = body_text(rq, "name");
    int r = app_create(api_of(rq), &rq->who, name, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *key = key_app(name);
    const struct app *a = mirror_get(operator_mirror(api_of(rq)->op), key, &app_schema, NULL);
    if (!a)
        return err_set(err, ERR_CONFLICT, "'%s' was destroyed again at once", name);
    json_add_open(&rq->out, NULL, '{');
    add_summary(rq, a);
    add_git_url(rq, a);
    json_add_close(&rq->out, '}');
    return 0;
}

/* --- list, show ------------------------------------------------------------------------------ */

static void count_instances(struct request *rq, const char *app)
{
    int64_t all = 0, ready = 0;
    const struct instance *in;
    for (struct mirror_iter i = mirror_of(operator_mirror(api_of(rq)->op), &instance_schema, app);
         (in = mirror_each(&i));)
        if (in->state != INSTANCE_STOPPED) {
            all++;
            ready += in->state == INSTANCE_READY;
        }
    json_add_int(&rq->out, "instances", all);
    json_add_int(&rq->out, "ready", ready);
}

static int apps_list(struct request *rq, struct err *err)
{
    (void)err;
    const struct app *a;
    struct page p = page_begin(rq);
    struct mirror_iter i = page_of(&p, &app_schema, NULL);
    while ((a = mirror_each(&i)) && page_item(&p, a->name)) {
        const struct release *current = view_current(api_of(rq), a->name);
        json_add_open(&rq->out, NULL, '{');
        add_summary(rq, a);
        json_add_int(&rq->out, "release", current ? current->number : 0);
        count_instances(rq, a->name);
        json_add_close(&rq->out, '}');
    }
    page_end(&p);
    return 0;
}

static void add_domains(struct request *rq, const char *app)
{
    const struct domain *d;
    json_add_open(&rq->out, "domains", '[');
    for (struct mirror_iter i = mirror_of(operator_mirror(api_of(rq)->op), &domain_schema, app);
         (d = mirror_each(&i));)
        json_add_string(&rq->out, NULL, d->host);
    json_add_close(&rq->out, ']');
}

static int apps_show(struct request *rq, struct err *err)
{
    const struct app *a;
    int r = request_app(rq, &a, err);
    if (r < 0)
        return r;
    const struct desired *d = view_desired(api_of(rq), a->name);
    const struct release *current = view_current(api_of(rq), a->name);
    _cleanup_(counts_release) struct counts formation = {0};
    view_formation(api_of(rq), a->name, &formation);
    json_add_open(&rq->out, NULL, '{');
    add_summary(rq, a);
    add_git_url(rq, a);
    json_add_string(&rq->out, "branch", a->branch);
    json_add_int(&rq->out, "release", current ? current->number : 0);
    reply_counts(&rq->out, "formation", &formation);
    count_instances(rq, a->name);
    json_add_bool(&rq->out, "maintenance", d && d->maintenance);
    add_domains(rq, a->name);
    json_add_close(&rq->out, '}');
    return 0;
}

static int by_type_and_index(const void *a, const void *b)
{
    const struct instance *x = *(const struct instance *const *)a,
                          *y = *(const struct instance *const *)b;
    int r = strcmp(x->type, y->type);
    if (!r)
        r = (x->index > y->index) - (x->index < y->index);
    return r ? r : strcmp(x->id, y->id);
}

/* "web.1.v3.g0.1": what it sorts by. */
static char *instance_cursor(const struct instance *in)
{
    return xasprintf("%s.%lld.%s", in->type, (long long)in->index, in->id);
}

static bool is_behind(const struct instance *in, const char *cursor)
{
    struct str id = str_of(cursor), type = str_cut(&id, '.'), index = str_cut(&id, '.');
    _cleanup_free_ char *name = xstrndup(type.ptr, type.len);
    uint64_t n = 0;
    str_to_u64(index.ptr ? index : STR("0"), 0, INT32_MAX, &n, NULL);
    struct instance last = {
        .type = name, .index = (int64_t)n, .id = (char *)(id.ptr ? id.ptr : "")};
    return by_type_and_index(&in, &(const struct instance *){&last}) > 0;
}

static int ps_list(struct request *rq, struct err *err)
{
    const struct app *a;
    int r = request_app(rq, &a, err);
    if (r < 0)
        return r;
    _cleanup_free_ const struct instance **all = NULL;
    const struct instance *in;
    size_t n = 0;
    struct page p = page_begin(rq);
    for (struct mirror_iter i =
             mirror_of(operator_mirror(api_of(rq)->op), &instance_schema, a->name);
         (in = mirror_each(&i));)
        if (!p.after || is_behind(in, p.after))
            *array_add(all, n) = in;
    if (n)
        qsort(all, n, sizeof(struct instance *), by_type_and_index);
    for (size_t i = 0; i < n; i++) {
        _cleanup_free_ char *cursor = instance_cursor(all[i]);
        if (!page_item(&p, cursor))
            break;
        reply_noun(&rq->out, NULL, &instance_schema, all[i]);
    }
    page_end(&p);
    return 0;
}

/* --- desired --------------------------------------------------------------------------------- */

struct wish {
    const char *app;
    const struct counts *formation; /* to set; NULL: leave */
    const bool *maintenance;        /* to set; NULL: leave */
    bool restart;
    int64_t ret_generation;
};

static int wish(struct change *c, void *arg, struct err *err)
{
    struct wish *w = arg;
    _cleanup_free_ char *key = key_desired(w->app);
    _cleanup_(desired_release) struct desired d = {0};
    int r = change_read(c, key, &desired_schema, &d, err);
    if (r < 0)
        return r;
    for (size_t i = 0; w->formation && i < w->formation->n; i++) {
        counts_set(&d.formation, w->formation->items[i].name, w->formation->items[i].n);
        buf_addf(&c->detail, "%s%s=%lld", i ? " " : "", w->formation->items[i].name,
                 (long long)w->formation->items[i].n);
    }
    if (w->maintenance)
        d.maintenance = *w->maintenance;
    w->ret_generation = d.generation += w->restart;
    change_put(c, key, &desired_schema, &d);
    return 0;
}

static int unknown_type(const char *type, const struct counts *known, struct err *err)
{
    _cleanup_(buf_release) struct buf list = BUF_CAP(400);
    for (size_t i = 0; i < known->n; i++)
        buf_addf(&list, "%s%s", i ? ", " : "", known->items[i].name);
    err_set(err, ERR_UNPROCESSABLE, "there is no process type '%.63s'", type);
    return err_hint(err, "this app has: %s", list.len ? list.ptr : "none");
}

static int read_formation(const json_t *body, const struct counts *known, struct counts *ret,
                          struct err *err)
{
    const char *type;
    json_t *n;
    json_object_foreach((json_t *)body, type, n)
    {
        if (counts_get(known, type, -1) < 0)
            return unknown_type(type, known, err);
        counts_set(ret, type, (int64_t)json_number_value(n));
    }
    return 0;
}

static int formation_set(struct request *rq, struct err *err)
{
    const struct app *a;
    _cleanup_(counts_release) struct counts known = {0}, want = {0}, now = {0};
    int r = request_app(rq, &a, err);
    if (r < 0)
        return r;
    view_formation(api_of(rq), a->name, &known);
    if (!known.n) {
        err_set(err, ERR_UNPROCESSABLE, "nothing was deployed yet, so there is nothing to scale");
        return err_hint(err, "git push davit main");
    }
    if ((r = read_formation(rq->json, &known, &want, err)) < 0)
        return r;
    _cleanup_free_ char *name = xstrdup(a->name);
    struct wish w = {.app = name, .formation = &want};
    r = change_make(api_of(rq), &rq->who, "app.scale", name, wish, &w, err);
    if (r < 0)
        return r;
    view_formation(api_of(rq), name, &now);
    reply_counts(&rq->out, NULL, &now);
    return 0;
}

static int restart(struct request *rq, struct err *err)
{
    const struct app *a;
    int r = request_app(rq, &a, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *name = xstrdup(a->name);
    struct wish w = {.app = name, .restart = true};
    r = change_make(api_of(rq), &rq->who, "app.restart", name, wish, &w, err);
    if (r < 0)
        return r;
    json_add_open(&rq->out, NULL, '{');
    json_add_int(&rq->out, "generation", w.ret_generation);
    json_add_close(&rq->out, '}');
    return 0;
}

static int maintenance_set(struct request *rq, struct err *err)
{
    const struct app *a;
    bool on = body_flag(rq, "on");
    int r = request_app(rq, &a, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *name = xstrdup(a->name);
    struct wish w = {.app = name, .maintenance = &on};
    r = change_make(api_of(rq), &rq->who, on ? "maintenance.on" : "maintenance.off", name, wish, &w,
                    err);
    if (r < 0)
        return r;
    json_add_open(&rq->out, NULL, '{');
    json_add_bool(&rq->out, "on", on);
    json_add_close(&rq->out, '}');
    return 0;
}

/* --- the routes ------------------------------------------------------------------------------ */

/* clang-format off */
#define SUMMARY                                                                                    \
    SHOWN(STRING, "name", "its name"),                                                             \
    SHOWN(STRING, "owner", "who made it"),                                                         \
    SHOWN(STRING, "created", "when"),                                                              \
    SHOWN(STRING, "url", "where it answers; empty if its release has no web process")
#define COUNTED                                                                                    \
    SHOWN(INT, "release", "number of the current release; 0: nothing was deployed"),               \
    SHOWN(INT, "instances", "how many there are"),                                                 \
    SHOWN(INT, "ready", "how many of them are ready")
#define GIT_URL SHOWN(STRING, "git_url", "where to push")

static const struct schema
    created = {"app_created", .fields = (const struct field[]){SUMMARY, GIT_URL, {0}}, .doc = "A new app"},
    summary = {"app_summary", .fields = (const struct field[]){SUMMARY, COUNTED, {0}}, .doc = "An app in the list"},
    shown = {"app_shown", .fields = (const struct field[]){
                 SUMMARY, COUNTED, GIT_URL,
                 SHOWN(STRING, "branch", "deploy branch: the first one that was pushed"),
                 SHOWN(COUNTS, "formation", "how many instances of each process type there should be"),
                 SHOWN(BOOL, "maintenance", "whether requests are answered with a notice"),
                 SHOWN(STRV, "domains", "further host names"), {0}}, .doc = "An app"},
    generation = {"generation", .fields = (const struct field[]){
                      SHOWN(INT, "generation", "grows by one with every restart"), {0}}, .doc = "A restart"},
    maintenance = {"maintenance", .fields = (const struct field[]){
                       SHOWN(BOOL, "on", "whether it is on"), {0}}, .doc = "Maintenance"};

const struct route app_routes[] = {
    ROUTE(GET, "/v1/apps", apps_list, VIEWER, "All apps", QUERY(PAGED), LIST_OF(summary)),
    ROUTE(POST, "/v1/apps", apps_create, DEVELOPER, "Create an app",
          FIELDS({"name", "its name", .kind = &kind_app, .required = true}), CREATED(created)),
    ROUTE(GET, "/v1/apps/{app}", apps_show, VIEWER, "One app", ONE(shown)),
    ROUTE(DELETE, "/v1/apps/{app}", apps_destroy, DEVELOPER,
          "Destroy an app and all that is its; ends when nothing is left of it, or after 25 s. Trailer Davit-Result, `unfinished` if the removal still goes on",
          STREAM("text/plain")),
    {0},
};

const struct route process_routes[] = {
    ROUTE(GET, "/v1/apps/{app}/ps", ps_list, VIEWER, "Its instances, by type and index", QUERY(PAGED), LIST_OF(instance_schema)),
    ROUTE(PATCH, "/v1/apps/{app}/formation", formation_set, DEVELOPER, "Scale; answers the whole formation",
          FIELDS({"process type", "how many instances of it", PARAM_NUMBER, .any = true, .max = INSTANCES_PER_TYPE_MAX,
                  .names = &(const struct text_kind){"^[A-Za-z0-9_-]{1,63}$", PROCESS_TYPE_MAX, process_type_check}}),
          .status = MHD_HTTP_OK, .reply = REPLY_COUNTS),
    ROUTE(POST, "/v1/apps/{app}/restart", restart, DEVELOPER, "Replace all instances by new ones", ONE(generation)),
    ROUTE(PUT, "/v1/apps/{app}/maintenance", maintenance_set, DEVELOPER, "Maintenance on or off",
          FIELDS({"on", "whether it is to be on", PARAM_FLAG, .required = true}), ONE(maintenance)),
    {0},
};
/* clang-format on */
