#include <stdio.h>

#include "cli/client.h"
#include "cli/table.h"

int verb_users_list(struct cli *cli, struct err *err)
{
    static const struct column columns[] = {{"USER", "name", COLUMN_TEXT},
                                            {"ROLE", "role", COLUMN_TEXT},
                                            {"SINCE", "created", COLUMN_WHEN},
                                            {0}};
    json_auto_t *doc = NULL;
    int r = api_call(cli, "GET", "/v1/users", NULL, &doc, err);
    return r < 0 ? r : table_print(cli, doc, columns, "No users", err);
}

int verb_users_add(struct cli *cli, struct err *err)
{
    const char *role = given(cli, OPT_ROLE) ? cli->values[OPT_ROLE] : "developer";
    json_auto_t *body = json_pack("{s:s}", "role", role), *user = NULL;
    if (!body)
        return err_set(err, ERR_USAGE, "the role is not UTF-8");
    _cleanup_free_ char *path = api_path("/v1/users/%", cli->args[0]);
    int r = api_call(cli, "PUT", path, body, &user, err);
    if (r < 0)
        return r;
    if (given(cli, OPT_JSON))
        json_print(user);
    else
        printf("%s is a %s; a token to sign in: davit tokens create --user %s\n", cli->args[0],
               role, cli->args[0]);
    return 0;
}

int verb_users_remove(struct cli *cli, struct err *err)
{
    _cleanup_free_ char *path = api_path("/v1/users/%", cli->args[0]);
    int r = api_do(cli, "DELETE", path, err);
    if (r == 0 && !given(cli, OPT_JSON))
        printf("Removed %s and their tokens\n", cli->args[0]);
    return r;
}
