#include <stdio.h>

#include "cli/client.h"
#include "cli/table.h"

int verb_releases_list(struct cli *cli, struct err *err)
{
    static const struct column columns[] = {
        {"RELEASE", "number", COLUMN_RELEASE},
        {"STATE", "status.state", COLUMN_STATE},
        {"WHAT", "description", COLUMN_TEXT},
        {"WHO", "by", COLUMN_TEXT},
        {"WHEN", "created", COLUMN_WHEN},
        {"REASON", "status.reason", COLUMN_TEXT},
        {0},
    };
    json_auto_t *doc = NULL;
    int r = app_call(cli, "GET", "/v1/apps/%/releases", NULL, &doc, err);
    return r < 0 ? r
                 : table_print(cli, doc, columns, "No releases yet. Deploy: git push davit main",
                               err);
}

/* "v3" or "3" */
static int release_number(const char *text, int64_t *ret, struct err *err)
{
    struct str digits = str_of(*text == 'v' ? text + 1 : text);
    uint64_t n;
    if (str_to_u64(digits, 1, INT32_MAX, &n, NULL) < 0) {
        err_set(err, ERR_USAGE, "'%s' is no release", text);
        return err_hint(err, "say it like v3; `davit releases` lists them");
    }
    *ret = (int64_t)n;
    return 0;
}

static void print_release(const struct cli *cli, const json_t *doc)
{
    static const struct column lines[] = {
        {"Release", "number", COLUMN_RELEASE},    {"State", "status.state", COLUMN_TEXT},
        {"What", "description", COLUMN_TEXT},     {"Who", "by", COLUMN_TEXT},
        {"When", "created", COLUMN_WHEN},         {"Commit", "commit", COLUMN_TEXT},
        {"Image", "image", COLUMN_TEXT},          {"Config", "config", COLUMN_TEXT},
        {"Reason", "status.reason", COLUMN_TEXT}, {0},
    };
    fields_print(cli, doc, lines);
    size_t i;
    json_t *p;
    json_array_foreach(json_object_get(doc, "processes"), i, p)
    {
        _cleanup_free_ char *type = field_text(p, "type"), *command = field_text(p, "command"),
                            *argv = field_text(p, "argv");
        printf("%-14s %s\n", type, *command ? command : argv);
    }
    json_t *line;
    json_array_foreach(json_object_get(json_object_get(doc, "status"), "log"), i, line)
        printf("    %s\n", json_string_value(line));
}

int verb_releases_show(struct cli *cli, struct err *err)
{
    const char *app;
    int64_t n = 0;
    json_auto_t *doc = NULL;
    int r = release_number(cli->args[0], &n, err);
    if (r < 0 || (r = cli_app(cli, NULL, &app, err)) < 0)
        return r;
    _cleanup_free_ char *number = xasprintf("%d", (int)n);
    _cleanup_free_ char *path = api_path("/v1/apps/%/releases/%", app, number);
    if ((r = api_call(cli, "GET", path, NULL, &doc, err)) < 0)
        return r;
    if (given(cli, OPT_JSON))
        json_print(doc);
    else
        print_release(cli, doc);
    return 0;
}

static int keep(void *ctx, const char *data, size_t n)
{
    buf_add(ctx, data, n);
    return 0;
}

int release_await(struct cli *cli, int64_t release, struct err *err)
{
    const char *app;
    int r = cli_app(cli, NULL, &app, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *number = xasprintf("%d", (int)release);
    _cleanup_free_ char *path = api_path("/v1/apps/%/releases/%/output", app, number);
    _cleanup_free_ char *what = xasprintf("release v%s of %s", number, app);
    _cleanup_(buf_release) struct buf said = BUF_CAP(1 << 20);
    r = api_follow(cli, "GET", path, 0, keep, &said, what, err);
    printf(r < 0 ? "failed\n" : "done, v%s\n", number);
    fflush(stdout);
    if (r < 0 && said.len)
        fputs(said.ptr, stderr);
    return r;
}

int verb_rollback(struct cli *cli, struct err *err)
{
    int64_t to = 0;
    int r = cli->n_args ? release_number(cli->args[0], &to, err) : 0;
    if (r < 0)
        return r;
    json_auto_t *body = json_pack("{s:I}", "to", (json_int_t)to), *release = NULL;
    if ((r = app_call(cli, "POST", "/v1/apps/%/rollback", body, &release, err)) < 0)
        return r;
    int64_t number = json_integer_value(json_object_get(release, "number"));
    if (given(cli, OPT_JSON)) {
        json_print(release);
        return 0;
    }
    _cleanup_free_ char *what = field_text(release, "description");
    printf("%s of %s... ", what, cli->app);
    return release_await(cli, number, err);
}
