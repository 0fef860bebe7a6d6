#include "gateway/routing.h"

/* The instances behind the app's name, from the server names APP:web.INDEX:ID. */
static void served_by(const struct state *s, const char *app, struct strv *ret)
{
    const char *backend = table_get(&s->tables[TABLE_APPS], app);
    size_t n = 0;
    size_t at = backend && pool_number(backend) ? state_servers_of(s, backend, &n) : 0;
    for (size_t i = at; i < at + n; i++) {
        struct str of, process, id;
        if (!s->servers[i].stopped &&
            server_name_parts(str_of(s->servers[i].name), &of, &process, &id))
            strv_addf(ret, "%.*s", (int)id.len, id.ptr);
    }
    strv_sort(ret);
}

static void report(struct op *op, const struct state *s, const char *app)
{
    _cleanup_free_ char *key = key_routing(app);
    _cleanup_(routing_release) struct routing is = {.app = xstrdup(app)};
    const struct routing *told = mirror_get(operator_mirror(op), key, &routing_schema, NULL);
    served_by(s, app, &is.instances);
    if (told ? !model_equal(&routing_schema, told, &is) : is.instances.n > 0)
        operator_put(op, key, &routing_schema, &is);
}

void routing_report(struct op *op, const struct wanted *w, const struct state *s)
{
    for (size_t i = 0; i < w->n_apps; i++)
        report(op, s, w->apps[i].name);
    if (w->partial)
        return;
    for (struct mirror_iter i = mirror_of(operator_mirror(op), &routing_schema, NULL);
         mirror_next(&i);)
        if (!wanted_has_app(w, i.parts[0]))
            operator_delete(op, i.key);
}
