#include "cli/checkout.h"
#include "cli/client.h"
#include "cli/table.h"
#include "model/names.h"

int cli_app(struct cli *cli, const char *arg, const char **ret, struct err *err)
{
    const char *named = arg ? arg : cli->values[OPT_APP];
    if (named && (!cli->app || !streq(cli->app, named))) {
        free(cli->app);
        cli->app = xstrdup(named);
    }
    if (!cli->app) {
        _cleanup_free_ char *remote = checkout_remote();
        cli->app = remote ? checkout_app(remote) : NULL;
    }
    if (!cli->app) {
        err_set(err, ERR_USAGE, "which app?");
        return err_hint(err, "name it with -a APP, or stand in a checkout whose git remote `davit` "
                             "is the app's (davit remote add APP adds it)");
    }
    *ret = cli->app;
    return app_name_check(cli->app, err);
}

void cli_release(struct cli *cli)
{
    if (cli->client)
        client_free(cli->client);
    free(cli->app);
    free(cli->args);
    *cli = (struct cli){0};
}

/* An app that isn't there may be one that is, mistyped. */
void cli_suggest_app(struct cli *cli, struct err *err)
{
    struct err ignored;
    json_auto_t *doc = NULL;
    if (err->code != ERR_NOT_FOUND || !cli->app ||
        api_call(cli, "GET", "/v1/apps", NULL, &doc, &ignored) < 0)
        return;
    _cleanup_(strv_release) struct strv names = {0};
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(doc, "items"), i, item)
        strv_take(&names, field_text(item, "name"));
    const char *near = strv_has(&names, cli->app)
                           ? NULL
                           : nearest(cli->app, (const char *const *)names.items, names.n);
    if (near)
        err_hint(err, "did you mean %s?", near);
}
