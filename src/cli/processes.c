#include <stdio.h>

#include "cli/client.h"
#include "cli/table.h"

/* Not deployed yet, or scaled to none. The caller's. */
static char *why_nothing_runs(struct cli *cli)
{
    struct err ignored;
    json_auto_t *app = NULL;
    if (app_call(cli, "GET", "/v1/apps/%", NULL, &app, &ignored) < 0)
        return xstrdup("Nothing runs");
    json_t *formation = json_object_get(app, "formation");
    void *first = json_object_iter(formation);
    _cleanup_free_ char *scale = field_text(app, "formation");
    return first ? xasprintf("Nothing runs: %s. Start it: davit scale %s=1", scale,
                             json_object_iter_key(first))
                 : xstrdup("Nothing runs. Deploy: git push davit main");
}

int verb_ps(struct cli *cli, struct err *err)
{
    static const struct column columns[] = {
        {"PROCESS", "type", COLUMN_PROCESS},
        {"STATE", "state", COLUMN_STATE},
        {"SINCE", "since", COLUMN_WHEN},
        {"RELEASE", "release", COLUMN_RELEASE},
        {"ADDRESS", "ip", COLUMN_TEXT},
        {"PID", "pid", COLUMN_TEXT},
        {"RESTARTS", "restarts", COLUMN_NUMBER},
        {"REASON", "reason", COLUMN_TEXT},
        {0},
    };
    json_auto_t *doc = NULL;
    int r = app_call(cli, "GET", "/v1/apps/%/ps", NULL, &doc, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *nothing =
        json_array_size(json_object_get(doc, "items")) ? NULL : why_nothing_runs(cli);
    return table_print(cli, doc, columns, nothing, err);
}

/* "web=3" into the formation. */
static int add_scale(json_t *formation, const char *arg, struct err *err)
{
    struct str n = str_of(arg);
    struct str type = str_cut(&n, '=');
    uint64_t count;
    if (!type.len || !n.ptr || str_to_u64(n, 0, 10000, &count, NULL) < 0) {
        err_set(err, ERR_USAGE, "'%s' is not of the form TYPE=N", arg);
        return err_hint(err, "like: davit scale web=3 worker=1");
    }
    _cleanup_free_ char *name = xstrndup(type.ptr, type.len);
    json_object_set_new(formation, name, json_integer((json_int_t)count));
    return 0;
}

static void print_formation(const struct cli *cli, json_t *formation)
{
    if (given(cli, OPT_JSON)) {
        json_print(formation);
        return;
    }
    const char *type;
    json_t *n;
    json_object_foreach(formation, type, n)
        printf("%s=%lld\n", type, (long long)json_integer_value(n));
}

int verb_scale(struct cli *cli, struct err *err)
{
    json_auto_t *wanted = json_object(), *answer = NULL;
    int r = 0;
    for (size_t i = 0; i < cli->n_args && !r; i++)
        r = add_scale(wanted, cli->args[i], err);
    if (r < 0)
        return r;
    if (!cli->n_args) {
        if ((r = app_call(cli, "GET", "/v1/apps/%", NULL, &answer, err)) == 0)
            print_formation(cli, json_object_get(answer, "formation"));
        return r;
    }
    if ((r = app_call(cli, "PATCH", "/v1/apps/%/formation", wanted, &answer, err)) == 0)
        print_formation(cli, answer);
    return r;
}

int verb_restart(struct cli *cli, struct err *err)
{
    json_auto_t *answer = NULL;
    int r = app_call(cli, "POST", "/v1/apps/%/restart", NULL, &answer, err);
    if (r < 0)
        return r;
    if (given(cli, OPT_JSON))
        json_print(answer);
    else
        printf("New instances of %s take over one by one; watch: davit ps\n", cli->app);
    return 0;
}

static int print_maintenance(const struct cli *cli, const json_t *answer, bool on)
{
    if (given(cli, OPT_JSON))
        json_print(answer);
    else
        printf("Maintenance of %s is %s\n", cli->app, on ? "on" : "off");
    return 0;
}

static int show_maintenance(struct cli *cli, struct err *err)
{
    json_auto_t *app = NULL;
    int r = app_call(cli, "GET", "/v1/apps/%", NULL, &app, err);
    if (r < 0)
        return r;
    bool on = json_is_true(json_object_get(app, "maintenance"));
    json_auto_t *answer = json_pack("{s:b}", "on", on);
    return print_maintenance(cli, answer, on);
}

int verb_maintenance(struct cli *cli, struct err *err)
{
    if (!cli->n_args)
        return show_maintenance(cli, err);
    bool on = streq(cli->args[0], "on");
    if (!on && !streq(cli->args[0], "off"))
        return err_set(err, ERR_USAGE, "say `davit maintenance on` or `davit maintenance off`");
    json_auto_t *body = json_pack("{s:b}", "on", on), *answer = NULL;
    int r = app_call(cli, "PUT", "/v1/apps/%/maintenance", body, &answer, err);
    return r < 0 ? r : print_maintenance(cli, answer, on);
}
