#include <stdio.h>

#include "cli/base64.h"
#include "cli/client.h"
#include "cli/table.h"

/* NAME='value' with the quotes of POSIX shells. */
static void print_for_shell(const char *name, const char *value)
{
    printf("%s='", name);
    for (; *value; value++)
        if (*value == '\'')
            fputs("'\\''", stdout);
        else
            putchar(*value);
    puts("'");
}

static void print_all(const struct cli *cli, json_t *vars)
{
    size_t width = 0;
    const char *name;
    json_t *value;
    json_object_foreach(vars, name, value) width = MAX(width, strlen(name) + 1);
    json_object_foreach(vars, name, value)
    {
        _cleanup_free_ char *label = xasprintf("%s:", name);
        if (given(cli, OPT_SHELL))
            print_for_shell(name, json_string_value(value));
        else
            printf("%-*s %s\n", (int)width, label, json_string_value(value));
    }
}

static int print_one(json_t *vars, const char *name, struct err *err)
{
    const char *value = json_string_value(json_object_get(vars, name));
    if (value) {
        puts(value);
        return 0;
    }
    _cleanup_(strv_release) struct strv names = {0};
    const char *other;
    json_t *ignored;
    json_object_foreach(vars, other, ignored) strv_add(&names, other);
    const char *near = nearest(name, (const char *const *)names.items, names.n);
    err_set(err, ERR_NOT_FOUND, "%s is not set", name);
    return near ? err_hint(err, "did you mean %s?", near) : -ERR_NOT_FOUND;
}

int verb_config_get(struct cli *cli, struct err *err)
{
    json_auto_t *vars = NULL;
    int r = app_call(cli, "GET", "/v1/apps/%/config", NULL, &vars, err);
    if (r < 0)
        return r;
    if (cli->n_args)
        return print_one(vars, cli->args[0], err);
    if (given(cli, OPT_JSON))
        json_print(vars);
    else
        print_all(cli, vars);
    return 0;
}

/* Sends the change; if it made a release, follows that until it serves. */
static int change(struct cli *cli, json_t *vars, const char *doing, struct err *err)
{
    json_auto_t *answer = NULL;
    _cleanup_(strv_release) struct strv names = {0};
    const char *name;
    json_t *value;
    json_object_foreach(vars, name, value) strv_add(&names, name);
    bool quiet = given(cli, OPT_JSON), restart = !given(cli, OPT_NO_RESTART);
    const char *pattern = restart ? "/v1/apps/%/config" : "/v1/apps/%/config?restart=0";
    int r = app_call(cli, "PATCH", pattern, vars, &answer, err);
    if (r < 0)
        return r;
    long long release = json_integer_value(json_object_get(answer, "release"));
    if (quiet) {
        json_print(answer);
        return 0;
    }
    printf("%s ", doing);
    for (size_t i = 0; i < names.n; i++)
        printf("%s%s", i ? ", " : "", names.items[i]);
    if (!release) {
        printf("... done\n");
        return 0;
    }
    printf(" and restarting %s... ", cli->app);
    return release_await(cli, release, err);
}

static int add_setting(struct cli *cli, json_t *vars, const char *arg, struct err *err)
{
    struct str value = str_of(arg);
    struct str name = str_cut(&value, '=');
    if (!value.ptr || !name.len) {
        err_set(err, ERR_USAGE, "'%s' is not of the form NAME=VALUE", arg);
        return err_hint(err, "like: davit config set GREETING=hello");
    }
    _cleanup_(buf_release) struct buf decoded = BUF_INIT;
    if (given(cli, OPT_ENCODED)) {
        if (!base64_decode(value, &decoded))
            return err_set(err, ERR_USAGE, "the value of %.*s is not base64", (int)name.len,
                           name.ptr);
        value = buf_str(&decoded);
    }
    _cleanup_free_ char *key = xstrndup(name.ptr, name.len);
    json_t *text = json_stringn(value.ptr, value.len);
    if (!text)
        return err_set(err, ERR_USAGE, "the value of %s is not UTF-8", key);
    json_object_set_new(vars, key, text);
    return 0;
}

int verb_config_set(struct cli *cli, struct err *err)
{
    json_auto_t *vars = json_object();
    for (size_t i = 0; i < cli->n_args; i++) {
        int r = add_setting(cli, vars, cli->args[i], err);
        if (r < 0)
            return r;
    }
    return change(cli, vars, "Setting", err);
}

int verb_config_unset(struct cli *cli, struct err *err)
{
    json_auto_t *vars = json_object();
    for (size_t i = 0; i < cli->n_args; i++)
        json_object_set_new(vars, cli->args[i], json_null());
    return change(cli, vars, "Unsetting", err);
}
