#include "model/nouns.h"

#define FIELD(noun, kind, member)                                                                  \
    {                                                                                              \
#member, FIELD_##kind, offsetof(struct noun, member)                                       \
    }
#define NEEDED(noun, kind, member)                                                                 \
    {                                                                                              \
#member, FIELD_##kind, offsetof(struct noun, member), true                                 \
    }
#define ENUM(noun, member, texts)                                                                  \
    {                                                                                              \
#member, FIELD_ENUM, offsetof(struct noun, member), true, texts                            \
    }
#define LIST(noun, member, schema)                                                                 \
    {                                                                                              \
#member, FIELD_LIST, offsetof(struct noun, member), .of = &(schema)                        \
    }
#define SCHEMA(noun, ...)                                                                          \
    const struct schema noun##_schema = {#noun, sizeof(struct noun),                               \
                                         (const struct field[]){__VA_ARGS__, {0}}}

const char *const release_state_names[] = {"pending", "preparing",  "starting", "live",
                                           "failed",  "superseded", NULL};
const char *const build_state_names[] = {"queued", "running",   "succeeded",
                                         "failed", "cancelled", NULL};
const char *const instance_state_names[] = {
#define X(name, text) text,
    INSTANCE_STATES(X)
#undef X
        NULL};
const char *const role_names[] = {"viewer", "developer", "admin", NULL};
const char *const remains_operators[] = {"gateway", "run", "builder", "api", NULL};
static const char *const check_type_names[] = {"startup", "liveness", "readiness", NULL};

SCHEMA(app, NEEDED(app, STRING, name), FIELD(app, STRING, owner), FIELD(app, STRING, created),
       FIELD(app, STRING, branch));

SCHEMA(desired, NEEDED(desired, INT, release), NEEDED(desired, INT, generation),
       FIELD(desired, COUNTS, formation), FIELD(desired, BOOL, maintenance),
       FIELD(desired, INT, config));

SCHEMA(config_vars, NEEDED(config_vars, INT, number), FIELD(config_vars, STRING, created),
       FIELD(config_vars, STRING, by), NEEDED(config_vars, MAP, vars));

SCHEMA(check, ENUM(check, type, check_type_names), FIELD(check, STRING, name),
       FIELD(check, BOOL, listening), FIELD(check, STRING, path), FIELD(check, STRV, command),
       FIELD(check, INT, uptime), FIELD(check, INT, port), FIELD(check, INT, attempts),
       FIELD(check, INT, timeout), FIELD(check, INT, wait), FIELD(check, INT, initial_delay),
       FIELD(check, STRING, content), FIELD(check, STRING, scheme), FIELD(check, MAP, headers));

SCHEMA(process, NEEDED(process, STRING, type), FIELD(process, STRING, command),
       FIELD(process, STRV, argv), FIELD(process, STRING, user), FIELD(process, STRING, workdir),
       FIELD(process, STRING, stop_signal), FIELD(process, INT, port),
       FIELD(process, INT, quantity), LIST(process, checks, check_schema));

SCHEMA(release, NEEDED(release, INT, number), FIELD(release, STRING, created),
       FIELD(release, STRING, by), FIELD(release, STRING, description),
       NEEDED(release, STRING, image), FIELD(release, STRING, commit), FIELD(release, INT, config),
       LIST(release, processes, process_schema));

SCHEMA(release_status, ENUM(release_status, state, release_state_names),
       FIELD(release_status, STRING, since), FIELD(release_status, STRING, reason),
       FIELD(release_status, STRV, log));

SCHEMA(build, NEEDED(build, STRING, id), NEEDED(build, STRING, app), FIELD(build, STRING, created),
       FIELD(build, STRING, by), FIELD(build, STRING, archive), FIELD(build, STRING, image),
       FIELD(build, STRING, commit), FIELD(build, STRING, branch),
       FIELD(build, STRING, description), FIELD(build, BOOL, cancel));

SCHEMA(build_status, ENUM(build_status, state, build_state_names),
       FIELD(build_status, STRING, since), FIELD(build_status, STRING, image),
       FIELD(build_status, INT, release), FIELD(build_status, STRING, error));

SCHEMA(instance, NEEDED(instance, STRING, app), NEEDED(instance, STRING, type),
       NEEDED(instance, STRING, id), NEEDED(instance, INT, index), NEEDED(instance, INT, release),
       FIELD(instance, INT, generation), ENUM(instance, state, instance_state_names),
       FIELD(instance, STRING, ip), FIELD(instance, INT, port), FIELD(instance, INT, pid),
       FIELD(instance, STRING, since), FIELD(instance, INT, restarts),
       FIELD(instance, INT, exit_status), FIELD(instance, STRING, reason));

SCHEMA(routing, NEEDED(routing, STRING, app), FIELD(routing, STRV, instances));

SCHEMA(domain, NEEDED(domain, STRING, host), FIELD(domain, STRING, created));

SCHEMA(remains, NEEDED(remains, STRING, app), FIELD(remains, STRV, images),
       FIELD(remains, STRV, builds));

SCHEMA(stack, NEEDED(stack, STRING, name), FIELD(stack, STRING, made),
       FIELD(stack, STRING, checked), FIELD(stack, STRV, updates), FIELD(stack, STRING, error));

SCHEMA(user, NEEDED(user, STRING, name), FIELD(user, STRING, created),
       ENUM(user, role, role_names));

SCHEMA(token, NEEDED(token, STRING, user), FIELD(token, STRING, name),
       FIELD(token, STRING, created), FIELD(token, STRING, expires));

SCHEMA(event, NEEDED(event, INT, number), FIELD(event, STRING, when), FIELD(event, STRING, who),
       FIELD(event, STRING, from), FIELD(event, STRING, what), FIELD(event, STRING, app),
       FIELD(event, STRING, detail), FIELD(event, STRING, previous));

SCHEMA(audit, NEEDED(audit, INT, oldest));

bool process_type_is_phase(const char *type)
{
    return streq(type, RELEASE_PHASE) || streq(type, POSTDEPLOY);
}

const struct process *release_process(const struct release *r, const char *type)
{
    for (size_t i = 0; i < r->processes.n; i++)
        if (streq(list_at(&r->processes, const struct process, i)->type, type))
            return list_at(&r->processes, const struct process, i);
    return NULL;
}

char *key_app(const char *app) { return xasprintf("/apps/%s", app); }
char *key_desired(const char *app) { return xasprintf("/apps/%s/desired", app); }
char *key_domain(const char *app, const char *host)
{
    return xasprintf("/apps/%s/domains/%s", app, host);
}
char *key_build(const char *id) { return xasprintf("/builds/%s", id); }
char *key_build_status(const char *id) { return xasprintf("/builds/%s/status", id); }
char *key_routing(const char *app) { return xasprintf("/routing/%s", app); }
char *key_remains(const char *app, const char *who)
{
    return xasprintf("/remains/%s/%s", app, who);
}
char *key_stack(const char *name) { return xasprintf("/stacks/%s", name); }
char *key_token(const char *hash) { return xasprintf("/tokens/%s", hash); }
char *key_user(const char *name) { return xasprintf("/users/%s", name); }
char *key_event(int64_t number) { return xasprintf("/events/%020lld", (long long)number); }

char *key_config(const char *app, int64_t number)
{
    return xasprintf("/apps/%s/config/%010lld", app, (long long)number);
}

char *key_release(const char *app, int64_t number)
{
    return xasprintf("/apps/%s/releases/%010lld", app, (long long)number);
}

char *key_release_status(const char *app, int64_t number)
{
    return xasprintf("/apps/%s/releases/%010lld/status", app, (long long)number);
}

char *key_instance(const char *app, const char *type, const char *id)
{
    return xasprintf("/instances/%s/%s/%s", app, type, id);
}

bool key_match(const char *key, const char *pattern, struct str *parts)
{
    while (*pattern) {
        if (*pattern != '?') {
            if (*key++ != *pattern++)
                return false;
            continue;
        }
        size_t n = strcspn(key, "/");
        if (!n)
            return false;
        *parts++ = (struct str){key, n};
        key += n;
        pattern++;
    }
    return !*key;
}

void releases_retained(const int64_t *numbers, const int *states, size_t n, int64_t current,
                       int64_t retain, bool *keep)
{
    for (size_t i = n; i-- > 0;) {
        bool counts = states[i] != RELEASE_FAILED && retain > 0;
        keep[i] = counts || numbers[i] >= current;
        retain -= counts;
    }
}
