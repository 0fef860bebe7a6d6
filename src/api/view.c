#include "api/view.h"

#include "model/rollout.h"
#include "operator/current.h"

const struct app *view_app(struct api *api, const char *app)
{
    _cleanup_free_ char *key = key_app(app);
    return mirror_get(operator_mirror(api->op), key, &app_schema, NULL);
}

int request_app(struct request *rq, const struct app **ret, struct err *err)
{
    const char *name = request_param(rq, "app");
    *ret = view_app(api_of(rq), name);
    if (*ret)
        return 0;
    err_set(err, ERR_NOT_FOUND, "there is no app '%s'", name);
    return err_hint(err, "davit apps lists them; davit apps create %s makes it", name);
}

const struct desired *view_desired(struct api *api, const char *app)
{
    _cleanup_free_ char *key = key_desired(app);
    return mirror_get(operator_mirror(api->op), key, &desired_schema, NULL);
}

const struct release *view_release(struct api *api, const char *app, int64_t n)
{
    _cleanup_free_ char *key = key_release(app, n);
    return mirror_get(operator_mirror(api->op), key, &release_schema, NULL);
}

const struct release_status *view_release_status(struct api *api, const char *app, int64_t n)
{
    _cleanup_free_ char *key = key_release_status(app, n);
    return mirror_get(operator_mirror(api->op), key, &release_status_schema, NULL);
}

bool view_is_routed(struct api *api, const char *app, int64_t n)
{
    struct mirror *m = operator_mirror(api->op);
    _cleanup_free_ char *key = key_routing(app), *prefix = key_instance(app, "web", "");
    const struct routing *now = mirror_get(m, key, &routing_schema, NULL);
    const struct instance *i;
    bool routed = false;
    for (struct mirror_iter at = mirror_iter(m, prefix); mirror_next(&at);) {
        bool serves =
            (i = mirror_value(&at, &instance_schema)) && now && strv_has(&now->instances, i->id);
        if (serves && i->release < n)
            return false;
        routed |= serves;
    }
    return routed;
}

const struct build *view_build(struct api *api, const char *id)
{
    _cleanup_free_ char *key = key_build(id);
    return mirror_get(operator_mirror(api->op), key, &build_schema, NULL);
}

const struct build_status *view_build_status(struct api *api, const char *id)
{
    _cleanup_free_ char *key = key_build_status(id);
    return mirror_get(operator_mirror(api->op), key, &build_status_schema, NULL);
}

const struct release *view_current(struct api *api, const char *app)
{
    return current_release(operator_mirror(api->op), app);
}

const struct config_vars *view_config(struct api *api, const char *app)
{
    return current_config(operator_mirror(api->op), app, NULL);
}

void view_formation(struct api *api, const char *app, struct counts *ret)
{
    const struct desired *d = view_desired(api, app);
    const struct release *r = view_current(api, app);
    if (d && r)
        formation_of(d, r, ret);
}

static char *url(const struct config *c, const char *host, const char *path)
{
    if (c->http_port == 80)
        return xasprintf("http://%s.%s%s", host, c->domain, path);
    return xasprintf("http://%s.%s:%d%s", host, c->domain, (int)c->http_port, path);
}

char *view_url(const struct config *c, const char *app) { return url(c, app, ""); }

char *view_web_url(struct api *api, const char *app)
{
    const struct release *r = view_current(api, app);
    return r && !release_process(r, "web") ? xstrdup("") : view_url(api->config, app);
}

char *view_git_url(const struct config *c, const char *app)
{
    _cleanup_free_ char *path = xasprintf("/git/%s.git", app);
    return url(c, "api", path);
}
