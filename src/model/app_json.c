#include "model/json_file.h"
#include "model/names.h"
#include "model/procfile.h"

/* The keys of Heroku's and Dokku's app.json; what those are for that change nothing. */
static const struct json_key top_keys[] = {
    {"$schema", NULL},
    {"name", NULL},
    {"description", NULL},
    {"keywords", NULL},
    {"website", NULL},
    {"repository", NULL},
    {"logo", NULL},
    {"success_url", NULL},
    {"env", NULL},
    {"formation", NULL},
    {"buildpacks", NULL},
    {"scripts", NULL},
    {"healthchecks", NULL},
    {"addons", "Davit makes no add-ons; set up the service, and give the app its address by "
               "`davit config set`"},
    {"cron", "Davit runs nothing by the clock; let a worker process do it"},
    {"environments", "there are no test or review apps"},
    {"image", "deploy an image by `davit deploy --image`"},
    {"stack", "all apps are built on Davit's own"},
    {0}};
static const struct json_key env_keys[] = {{"description", NULL},
                                           {"value", NULL},
                                           {"required", NULL},
                                           {"generator", NULL},
                                           {"sync", "a variable that is set stays as it is"},
                                           {0}};
static const struct json_key formation_keys[] = {
    {"quantity", NULL},
    {"size", "instances of all apps have the size that davit.conf says (instance_memory)"},
    {"max_parallel", "Davit decides how many start at once"},
    {"autoscaling", "`davit scale` says how many run"},
    {"service", "only `web` gets requests"},
    {0}};
static const struct json_key buildpack_keys[] = {{"url", NULL}, {0}};
static const struct json_key scripts_keys[] = {
    {"postdeploy", NULL}, {"dokku", NULL}, {"pr-predestroy", "there are no review apps"}, {0}};
static const struct json_key dokku_keys[] = {{"predeploy", NULL}, {"postdeploy", NULL}, {0}};
static const struct json_key check_keys[] = {
    {"type", NULL},
    {"name", NULL},
    {"uptime", NULL},
    {"listening", NULL},
    {"path", NULL},
    {"command", NULL},
    {"content", NULL},
    {"httpHeaders", NULL},
    {"scheme", NULL},
    {"port", NULL},
    {"attempts", NULL},
    {"timeout", NULL},
    {"wait", NULL},
    {"initialDelay", NULL},
    {"warn", "a check that fails keeps a release from going live"},
    {"onFailure", "what becomes of an instance depends on the check's type"},
    {0}};

static void look_at(const char *path, const json_t *o, const struct json_key *keys,
                    struct app_json *a)
{
    json_file_keys("app.json", path, o, keys, &a->warnings);
}

/* Walking app.json: `path` names the field for messages. */
static int wrong(const char *path, const char *needed, struct err *err)
{
    return err_set(err, ERR_INVALID, "app.json: field '%s': %s", path, needed);
}

static int get_text(json_t *object, const char *name, const char *path, char **ret, struct err *err)
{
    json_t *v = json_object_get(object, name);
    if (!v || json_is_null(v))
        return 0;
    if (!json_is_string(v)) {
        _cleanup_free_ char *full = xasprintf("%s%s%s", path, *path ? "." : "", name);
        return wrong(full, "a text is needed", err);
    }
    *ret = xstrdup(json_string_value(v));
    return 0;
}

static int get_number(json_t *object, const char *name, const char *path, int64_t max, int64_t *ret,
                      struct err *err)
{
    json_t *v = json_object_get(object, name);
    if (!v || json_is_null(v))
        return 0;
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > max) {
        _cleanup_free_ char *full = xasprintf("%s.%s", path, name);
        _cleanup_free_ char *needed =
            xasprintf("a whole number from 0 to %lld is needed", (long long)max);
        return wrong(full, needed, err);
    }
    *ret = json_integer_value(v);
    return 0;
}

/* The object under `name`; *ret stays NULL if there is none. */
static int get_object(json_t *object, const char *name, const char *path, json_t **ret,
                      struct err *err)
{
    json_t *v = json_object_get(object, name);
    if (!v || json_is_null(v))
        return 0;
    if (!json_is_object(v))
        return wrong(path, "an object is needed", err);
    *ret = v;
    return 0;
}

static int parse_wish(const char *name, json_t *v, struct app_json *a, struct err *err)
{
    _cleanup_free_ char *path = xasprintf("env.%s", name), *generator = NULL;
    int r = config_name_check(name, err);
    if (r < 0)
        return err_wrap(err, "app.json: field 'env'");
    struct env_wish *w = list_add(&a->env, sizeof(*w));
    w->name = xstrdup(name);
    if (json_is_string(v)) {
        w->value = xstrdup(json_string_value(v));
        return 0;
    }
    if (!json_is_object(v))
        return wrong(path, "a text or an object is needed", err);
    look_at(path, v, env_keys, a);
    json_t *required = json_object_get(v, "required");
    if (required && !json_is_boolean(required))
        return wrong(path, "'required' must be true or false", err);
    if ((r = get_text(v, "description", path, &w->description, err)) < 0 ||
        (r = get_text(v, "value", path, &w->value, err)) < 0 ||
        (r = get_text(v, "generator", path, &generator, err)) < 0)
        return r;
    if (generator && !streq(generator, "secret"))
        return wrong(path, "the only generator there is is \"secret\"", err);
    w->generate_secret = generator != NULL;
    w->required = !w->value && !generator && (!required || json_is_true(required));
    return 0;
}

static int parse_env(json_t *root, struct app_json *ret, struct err *err)
{
    json_t *env = NULL, *v;
    const char *name;
    int r = get_object(root, "env", "env", &env, err);
    if (r < 0)
        return r;
    json_object_foreach(env, name, v) if ((r = parse_wish(name, v, ret, err)) < 0) return r;
    return 0;
}

static int parse_formation(json_t *root, struct app_json *ret, struct err *err)
{
    json_t *formation = NULL, *v;
    const char *type;
    int r = get_object(root, "formation", "formation", &formation, err);
    if (r < 0)
        return r;
    json_object_foreach(formation, type, v)
    {
        _cleanup_free_ char *path = xasprintf("formation.%s", type);
        int64_t quantity = 1;
        if ((r = process_type_check(type, err)) < 0)
            return err_wrap(err, "app.json: field 'formation'");
        if (!json_is_object(v))
            return wrong(path, "an object is needed", err);
        look_at(path, v, formation_keys, ret);
        if ((r = get_number(v, "quantity", path, 1000, &quantity, err)) < 0)
            return r;
        counts_set(&ret->formation, type, quantity);
    }
    return 0;
}

static int parse_buildpacks(json_t *root, struct app_json *ret, struct err *err)
{
    json_t *list = json_object_get(root, "buildpacks"), *v;
    size_t i;
    if (!list)
        return 0;
    if (!json_is_array(list))
        return wrong("buildpacks", "a list of objects with a 'url' is needed", err);
    json_array_foreach(list, i, v)
    {
        json_t *url = json_is_object(v) ? json_object_get(v, "url") : v;
        if (!json_is_string(url))
            return wrong("buildpacks", "a list of objects with a 'url' is needed", err);
        _cleanup_free_ char *path = xasprintf("buildpacks[%zu]", i);
        look_at(path, v, buildpack_keys, ret);
        strv_add(&ret->buildpacks, json_string_value(url));
    }
    return 0;
}

static int parse_scripts(json_t *root, struct app_json *ret, struct err *err)
{
    json_t *scripts = NULL, *dokku = NULL;
    int r;
    if ((r = get_object(root, "scripts", "scripts", &scripts, err)) < 0 || !scripts)
        return r;
    look_at("scripts", scripts, scripts_keys, ret);
    if ((r = get_text(scripts, "postdeploy", "scripts", &ret->postdeploy, err)) < 0 ||
        (r = get_object(scripts, "dokku", "scripts.dokku", &dokku, err)) < 0)
        return r;
    if (!dokku)
        return 0;
    look_at("scripts.dokku", dokku, dokku_keys, ret);
    if ((r = get_text(dokku, "predeploy", "scripts.dokku", &ret->predeploy, err)) < 0)
        return r;
    return ret->postdeploy ? 0
                           : get_text(dokku, "postdeploy", "scripts.dokku", &ret->postdeploy, err);
}

static int parse_check_command(json_t *v, const char *path, struct strv *ret, struct err *err)
{
    json_t *command = json_object_get(v, "command"), *word;
    size_t i;
    if (!command)
        return 0;
    if (!json_is_array(command) || !json_array_size(command))
        return wrong(path, "'command' must be a list of texts", err);
    json_array_foreach(command, i, word)
    {
        if (!json_is_string(word))
            return wrong(path, "'command' must be a list of texts", err);
        strv_add(ret, json_string_value(word));
    }
    return 0;
}

static int parse_check_headers(json_t *v, const char *path, struct map *ret, struct err *err)
{
    json_t *headers = json_object_get(v, "httpHeaders"), *header;
    size_t i;
    if (headers && !json_is_array(headers))
        return wrong(path, "'httpHeaders' must be a list of {name, value}", err);
    json_array_foreach(headers, i, header)
    {
        const char *name = json_string_value(json_object_get(header, "name"));
        const char *value = json_string_value(json_object_get(header, "value"));
        if (!name || !value || strpbrk(name, "\r\n: ") || strpbrk(value, "\r\n"))
            return wrong(path, "'httpHeaders' must be a list of {name, value} without line ends",
                         err);
        map_set(ret, name, value);
    }
    return 0;
}

static int parse_check(json_t *v, const char *path, struct check *c, struct err *err)
{
    static const char *const types[] = {"startup", "liveness", "readiness"};
    if (!json_is_object(v))
        return wrong(path, "an object is needed", err);
    const char *type = json_string_value(json_object_get(v, "type"));
    c->type = -1;
    for (int i = 0; type && i < 3; i++)
        if (streq(type, types[i]))
            c->type = i;
    if (c->type < 0) {
        c->type = 0;
        return wrong(path, "'type' must be startup, liveness or readiness", err);
    }
    json_t *listening = json_object_get(v, "listening");
    if (listening && !json_is_boolean(listening))
        return wrong(path, "'listening' must be true or false", err);
    c->listening = json_is_true(listening);
    int r;
    if ((r = get_text(v, "name", path, &c->name, err)) < 0 ||
        (r = get_text(v, "path", path, &c->path, err)) < 0 ||
        (r = get_text(v, "content", path, &c->content, err)) < 0 ||
        (r = get_text(v, "scheme", path, &c->scheme, err)) < 0 ||
        (r = get_number(v, "uptime", path, 86400, &c->uptime, err)) < 0 ||
        (r = get_number(v, "port", path, 65535, &c->port, err)) < 0 ||
        (r = get_number(v, "attempts", path, 1000, &c->attempts, err)) < 0 ||
        (r = get_number(v, "timeout", path, 3600, &c->timeout, err)) < 0 ||
        (r = get_number(v, "wait", path, 3600, &c->wait, err)) < 0 ||
        (r = get_number(v, "initialDelay", path, 3600, &c->initial_delay, err)) < 0 ||
        (r = parse_check_command(v, path, &c->command, err)) < 0 ||
        (r = parse_check_headers(v, path, &c->headers, err)) < 0)
        return r;
    if (c->path && (c->path[0] != '/' || strpbrk(c->path, " \r\n")))
        return wrong(path, "'path' must start with '/' and hold no blanks", err);
    if (c->listening + (c->path != NULL) + (c->command.n > 0) + (c->uptime > 0) != 1)
        return wrong(path, "exactly one of uptime, listening, path, command is needed", err);
    return 0;
}

static int parse_checks(json_t *root, struct app_json *ret, struct err *err)
{
    json_t *all = NULL, *list, *v;
    const char *type;
    size_t i;
    int r = get_object(root, "healthchecks", "healthchecks", &all, err);
    if (r < 0 || !all)
        return r;
    ret->checks = xcalloc(json_object_size(all), sizeof(*ret->checks));
    json_object_foreach(all, type, list)
    {
        struct process_checks *of = &ret->checks[ret->n_checks++];
        of->type = xstrdup(type);
        _cleanup_free_ char *group = xasprintf("healthchecks.%s", type);
        if (!json_is_array(list))
            return wrong(group, "a list of checks is needed", err);
        json_array_foreach(list, i, v)
        {
            _cleanup_free_ char *path = xasprintf("%s[%zu]", group, i);
            look_at(path, v, check_keys, ret);
            if ((r = parse_check(v, path, list_add(&of->checks, sizeof(struct check)), err)) < 0)
                return r;
        }
    }
    return 0;
}

int app_json_parse(struct str text, struct app_json *ret, struct err *err)
{
    json_t *root;
    struct app_json a = {0};
    int r = json_file_parse("app.json", text, APP_JSON_MAX, &root, err);
    if (r < 0)
        return r;
    look_at("", root, top_keys, &a);
    if (!(r = parse_env(root, &a, err)) && !(r = parse_formation(root, &a, err)) &&
        !(r = parse_buildpacks(root, &a, err)) && !(r = parse_scripts(root, &a, err)))
        r = parse_checks(root, &a, err);
    json_decref(root);
    if (r < 0)
        app_json_release(&a);
    else
        *ret = a;
    return r;
}

void app_json_release(struct app_json *a)
{
    for (size_t i = 0; i < a->env.n; i++) {
        struct env_wish *w = list_at(&a->env, struct env_wish, i);
        free(w->name);
        free(w->description);
        free(w->value);
    }
    free(a->env.items);
    counts_release(&a->formation);
    strv_release(&a->buildpacks);
    free(a->predeploy);
    free(a->postdeploy);
    for (size_t i = 0; i < a->n_checks; i++) {
        struct list *checks = &a->checks[i].checks;
        for (size_t k = 0; k < checks->n; k++)
            check_release(list_at(checks, struct check, k));
        free(checks->items);
        free(a->checks[i].type);
    }
    free(a->checks);
    strv_release(&a->warnings);
    *a = (struct app_json){0};
}
