#include "builder/processes.h"

const struct process *processes_find(const struct list *l, const char *type)
{
    for (size_t i = 0; i < l->n; i++)
        if (streq(list_at(l, const struct process, i)->type, type))
            return list_at(l, const struct process, i);
    return NULL;
}

static struct process *find(struct list *l, const char *type)
{
    return (struct process *)processes_find(l, type);
}

void processes_release(struct list *l)
{
    for (size_t i = 0; i < l->n; i++)
        process_release(list_at(l, struct process, i));
    free(l->items);
    *l = (struct list){0};
}

static struct process *add(struct list *l, const char *type, const char *command)
{
    struct process *p = list_add(l, sizeof(*p));
    p->type = xstrdup(type);
    p->command = xstrdup(command);
    p->quantity = streq(type, "web") ? 1 : 0;
    return p;
}

static void add_scripts(const struct app_json *app, struct list *ret)
{
    struct process *phase = find(ret, RELEASE_PHASE);
    if (app->predeploy && phase) {
        char *both = xasprintf("( %s\n) && ( %s\n)", app->predeploy, phase->command);
        free(phase->command);
        phase->command = both;
    } else if (app->predeploy) {
        add(ret, RELEASE_PHASE, app->predeploy);
    }
    if (app->postdeploy && !find(ret, POSTDEPLOY))
        add(ret, POSTDEPLOY, app->postdeploy);
}

/* Release phase and postdeploy alone serve nobody. */
int processes_check(const struct list *l, struct err *err)
{
    for (size_t i = 0; i < l->n; i++)
        if (!process_type_is_phase(list_at(l, const struct process, i)->type))
            return 0;
    err_set(err, ERR_UNPROCESSABLE,
            l->n ? "the Procfile names no process that runs all the time"
                 : "no Procfile, and nothing else says what to run");
    return err_hint(err, "Add a file named Procfile with a line such as   web: ./server");
}

static void apply_formation(const struct app_json *app, struct list *processes,
                            struct strv *warnings)
{
    for (size_t i = 0; i < app->formation.n; i++) {
        const struct count *wanted = &app->formation.items[i];
        struct process *p = find(processes, wanted->name);
        if (p)
            p->quantity = wanted->n;
        else
            strv_addf(warnings, "app.json: formation names '%s', which is no process of this app",
                      wanted->name);
    }
}

static void apply_checks(const struct app_json *app, struct list *processes, struct strv *warnings)
{
    for (size_t i = 0; i < app->n_checks; i++) {
        const struct process_checks *wanted = &app->checks[i];
        struct process *p = find(processes, wanted->type);
        if (!p)
            strv_addf(warnings, "app.json: healthchecks name '%s', which is no process of this app",
                      wanted->type);
        for (size_t k = 0; p && k < wanted->checks.n; k++)
            model_copy(&check_schema, list_at(&wanted->checks, struct check, k),
                       list_add(&p->checks, sizeof(struct check)));
    }
}

int processes_list(struct str procfile, const struct map *defaults, struct list *ret,
                   struct err *err)
{
    if (procfile.ptr)
        return procfile_parse(procfile, ret, err);
    for (size_t i = 0; i < defaults->n; i++)
        add(ret, defaults->items[i].name, defaults->items[i].value);
    return 0;
}

int processes_complete(const struct app_json *app, struct list *processes, struct strv *warnings,
                       struct err *err)
{
    int r = processes_check(processes, err);
    if (r < 0)
        return r;
    add_scripts(app, processes);
    apply_formation(app, processes, warnings);
    apply_checks(app, processes, warnings);
    return 0;
}

static void generate_secret(char ret[65])
{
    unsigned char bytes[32];
    random_bytes(bytes, sizeof(bytes));
    hex_encode(bytes, sizeof(bytes), ret);
}

int env_wishes(const struct app_json *app, const struct map *have, struct map *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf missing = BUF_CAP(400);
    for (size_t i = 0; i < app->env.n; i++) {
        const struct env_wish *w = list_at(&app->env, struct env_wish, i);
        char secret[65];
        if (map_get(have, w->name))
            continue;
        if (w->generate_secret) {
            generate_secret(secret);
            map_set(ret, w->name, secret);
        } else if (w->value) {
            map_set(ret, w->name, w->value);
        } else if (w->required) {
            buf_addf(&missing, "%s%s", missing.len ? ", " : "", w->name);
        }
    }
    if (!missing.len)
        return 0;
    err_set(err, ERR_UNPROCESSABLE, "app.json needs config variables that are not set: %s",
            missing.ptr);
    return err_hint(err, "Set them:   davit config set NAME=value");
}
