#include "gateway/world.h"

#include <arpa/inet.h>

#include "base/array.h"
#include "base/time.h"
#include "model/names.h"

static void add_app(struct world *w, struct mirror *m, const struct app *app)
{
    if (!app || !app->name || app_name_check(app->name, NULL) < 0)
        return;
    _cleanup_free_ char *key = key_desired(app->name);
    const struct desired *d = mirror_get(m, key, &desired_schema, NULL);
    *array_add(w->wanted.apps, w->wanted.n_apps) =
        (struct want_app){.name = app->name, .maintenance = d && d->maintenance};
}

static void add_host(struct world *w, struct str app, const struct domain *d)
{
    if (!d || !d->host || host_check(d->host, NULL) < 0)
        return;
    strv_addf(&w->names, "%.*s", (int)app.len, app.ptr);
    *array_add(w->wanted.hosts, w->wanted.n_hosts) =
        (struct want_host){.host = d->host, .app = w->names.items[w->names.n - 1]};
}

static bool is_address(const char *ip)
{
    struct in_addr a;
    return ip && inet_pton(AF_INET, ip, &a) == 1;
}

static void add_instance(struct world *w, const struct instance *i)
{
    if (!i || !i->type || !streq(i->type, "web") || !i->app || !i->id || strpbrk(i->id, " \t\n;:/"))
        return;
    *array_add(w->wanted.instances, w->wanted.n_instances) = (struct want_instance){
        .app = i->app,
        .id = i->id,
        .ip = is_address(i->ip) ? i->ip : NULL,
        .index = i->index,
        .port = i->port,
        .restarts = i->restarts,
        .state = (enum instance_state)i->state,
        .since_us = i->since ? time_parse(i->since) : 0,
    };
}

/* Of one app, NULL: of all. */
static void add_instances(struct world *w, struct mirror *m, const char *app)
{
    const struct instance *instance;
    for (struct mirror_iter i = mirror_of(m, &instance_schema, app); (instance = mirror_each(&i));)
        if (streq(instance->type, "web"))
            add_instance(w, instance);
}

static void read_all(struct world *w, struct mirror *m)
{
    _cleanup_free_ char *apps = key_prefix(&app_schema, NULL);
    struct str parts[KEY_PARAMS_MAX];
    for (struct mirror_iter i = mirror_iter(m, apps); mirror_next(&i);) {
        if (key_is(&app_schema, i.key, parts))
            add_app(w, m, mirror_value(&i, &app_schema));
        else if (key_is(&domain_schema, i.key, parts))
            add_host(w, parts[0], mirror_value(&i, &domain_schema));
    }
    add_instances(w, m, NULL);
}

void world_read(struct mirror *m, const struct config *c, const struct strv *only,
                struct world *ret)
{
    struct world *w = ret;
    *w = (struct world){.wanted = {.partial = only != NULL,
                                   .domain = c->domain,
                                   .drain_us = c->drain_timeout * 1000000}};
    if (!only)
        read_all(w, m);
    for (size_t i = 0; only && i < only->n; i++) {
        _cleanup_free_ char *key = key_app(only->items[i]);
        add_app(w, m, mirror_get(m, key, &app_schema, NULL));
        add_instances(w, m, only->items[i]);
    }
    wanted_sort(&w->wanted);
}

void world_release(struct world *w)
{
    free(w->wanted.apps);
    free(w->wanted.hosts);
    free(w->wanted.instances);
    strv_release(&w->names);
    *w = (struct world){0};
}
