#include <stdio.h>

#include "cli/client.h"
#include "cli/table.h"

int verb_domains_list(struct cli *cli, struct err *err)
{
    static const struct column columns[] = {
        {"HOST", "host", COLUMN_TEXT}, {"ADDED", "created", COLUMN_WHEN}, {0}};
    json_auto_t *doc = NULL;
    int r = app_call(cli, "GET", "/v1/apps/%/domains", NULL, &doc, err);
    return r < 0 ? r : table_print(cli, doc, columns, "No further host names", err);
}

int verb_domains_add(struct cli *cli, struct err *err)
{
    json_auto_t *body = json_pack("{s:s}", "host", cli->args[0]), *doc = NULL;
    if (!body)
        return err_set(err, ERR_USAGE, "the host name is not UTF-8");
    int r = app_call(cli, "POST", "/v1/apps/%/domains", body, &doc, err);
    if (r < 0)
        return r;
    if (given(cli, OPT_JSON))
        json_print(doc);
    else
        printf("%s answers at %s too\n", cli->app, cli->args[0]);
    return 0;
}

int verb_domains_remove(struct cli *cli, struct err *err)
{
    const char *app;
    int r = cli_app(cli, NULL, &app, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *path = api_path("/v1/apps/%/domains/%", app, cli->args[0]);
    if ((r = api_do(cli, "DELETE", path, err)) == 0 && !given(cli, OPT_JSON))
        printf("%s no longer answers at %s\n", app, cli->args[0]);
    return r;
}
