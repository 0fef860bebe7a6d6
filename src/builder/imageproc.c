#include "builder/imageproc.h"

#include <jansson.h>

enum { NANOSECONDS = 1000000000, STARTUP_ATTEMPTS = 60 };

/* "8080/tcp", "8080"; 0 for other protocols and what is no port. */
static int64_t tcp_port(const char *exposed)
{
    struct str protocol = str_of(exposed), number = str_cut(&protocol, '/');
    uint64_t port;
    if (protocol.ptr && !str_eq(protocol, STR("tcp")))
        return 0;
    return str_to_u64(number, 1, 65535, &port, NULL) == 0 ? (int64_t)port : 0;
}

static int64_t first_port(const struct image *i)
{
    int64_t lowest = 0;
    for (size_t k = 0; k < i->ports.n; k++) {
        int64_t port = tcp_port(i->ports.items[k]);
        if (port && (!lowest || port < lowest))
            lowest = port;
    }
    return lowest;
}

/* Test is ["CMD", argument…], ["CMD-SHELL", text] or ["NONE"]. */
static bool read_test(const json_t *test, struct strv *ret)
{
    const char *kind = json_string_value(json_array_get(test, 0));
    if (!kind)
        return false;
    if (streq(kind, "CMD-SHELL")) {
        strv_add(ret, "/bin/sh");
        strv_add(ret, "-c");
    } else if (!streq(kind, "CMD")) {
        return false;
    }
    for (size_t i = 1; i < json_array_size(test); i++) {
        const char *word = json_string_value(json_array_get(test, i));
        strv_add(ret, word ? word : "");
    }
    return json_array_size(test) > 1;
}

static int64_t seconds(const json_t *health, const char *name, int64_t otherwise)
{
    int64_t n = json_integer_value(json_object_get(health, name)) / NANOSECONDS;
    return n > 0 ? n : otherwise;
}

static void add_check(struct process *p, int type, const struct strv *command)
{
    struct check *c = list_add(&p->checks, sizeof(*c));
    c->type = type;
    c->name = xstrdup("HEALTHCHECK");
    for (size_t i = 0; i < command->n; i++)
        strv_add(&c->command, command->items[i]);
}

/* Healthy once, it may serve; unhealthy `Retries` times in a row, it is restarted (Docker's
 * Healthcheck object, image-spec's extension). */
static void add_healthcheck(const char *json, struct process *p)
{
    json_t *health = json_loads(json, 0, NULL);
    _cleanup_(strv_release) struct strv command = {0};
    if (read_test(json_object_get(health, "Test"), &command)) {
        int64_t retries = json_integer_value(json_object_get(health, "Retries"));
        add_check(p, CHECK_STARTUP, &command);
        add_check(p, CHECK_LIVENESS, &command);
        struct check *startup = list_at(&p->checks, struct check, p->checks.n - 2);
        struct check *liveness = list_at(&p->checks, struct check, p->checks.n - 1);
        startup->timeout = liveness->timeout = seconds(health, "Timeout", 30);
        startup->wait = 1;
        startup->attempts = seconds(health, "StartPeriod", 0) + STARTUP_ATTEMPTS;
        liveness->wait = seconds(health, "Interval", 30);
        liveness->attempts = retries > 0 ? retries : 3;
        liveness->initial_delay = seconds(health, "StartPeriod", 0);
    }
    json_decref(health);
}

static char *or_else(const char *s, const char *otherwise)
{
    return xstrdup(s && *s ? s : otherwise);
}

void image_defaults(const struct image *i, struct process *p)
{
    free(p->user);
    free(p->workdir);
    p->user = or_else(i->user, "root"); /* of the image; never the host's */
    p->workdir = or_else(i->workdir, "/");
    if (streq(p->type, "web") && !p->port)
        p->port = first_port(i);
}

int image_web_process(const struct image *i, struct process *ret, struct err *err)
{
    if (!i->entrypoint.n && !i->cmd.n) {
        err_set(err, ERR_UNPROCESSABLE, "the image has neither ENTRYPOINT nor CMD");
        return err_hint(err, "Give it a CMD, or say in a Procfile what to run.");
    }
    ret->type = xstrdup("web");
    ret->quantity = 1;
    for (size_t k = 0; k < i->entrypoint.n; k++)
        strv_add(&ret->argv, i->entrypoint.items[k]);
    for (size_t k = 0; k < i->cmd.n; k++)
        strv_add(&ret->argv, i->cmd.items[k]);
    if (i->stop_signal && *i->stop_signal)
        ret->stop_signal = xstrdup(i->stop_signal);
    image_defaults(i, ret);
    if (i->healthcheck)
        add_healthcheck(i->healthcheck, ret);
    return 0;
}
