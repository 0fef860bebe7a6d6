#include <stdio.h>
#include <termios.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/credentials.h"
#include "cli/table.h"

int verb_tokens_list(struct cli *cli, struct err *err)
{
    static const struct column columns[] = {
        {"ID", "id", COLUMN_TEXT},           {"NAME", "name", COLUMN_TEXT},
        {"USER", "user", COLUMN_TEXT},       {"CREATED", "created", COLUMN_WHEN},
        {"EXPIRES", "expires", COLUMN_TEXT}, {0},
    };
    json_auto_t *doc = NULL;
    int r = api_call(cli, "GET", "/v1/tokens", NULL, &doc, err);
    return r < 0 ? r : table_print(cli, doc, columns, "No tokens", err);
}

int token_mint(struct cli *cli, const char *name, int64_t ttl_s, json_t **ret, struct err *err)
{
    json_auto_t *body = json_pack("{s:s, s:I}", "name", name, "ttl", (json_int_t)ttl_s);
    if (!body)
        return err_set(err, ERR_USAGE, "the name is not UTF-8");
    if (given(cli, OPT_USER))
        json_object_set_new(body, "user", json_string(cli->values[OPT_USER]));
    return api_call(cli, "POST", "/v1/tokens", body, ret, err);
}

int verb_tokens_create(struct cli *cli, struct err *err)
{
    int64_t ttl = 0;
    int r = given(cli, OPT_TTL) ? duration_parse(cli->values[OPT_TTL], &ttl, err) : 0;
    if (r < 0)
        return r;
    json_auto_t *doc = NULL;
    r = token_mint(cli, given(cli, OPT_NAME) ? cli->values[OPT_NAME] : "cli", ttl, &doc, err);
    if (r < 0)
        return r;
    if (given(cli, OPT_JSON))
        json_print(doc);
    else
        puts(json_string_value(json_object_get(doc, "token")) ?: "");
    return 0;
}

int verb_tokens_revoke(struct cli *cli, struct err *err)
{
    _cleanup_free_ char *path = api_path("/v1/tokens/%", cli->args[0]);
    int r = api_do(cli, "DELETE", path, err);
    if (r == 0 && !given(cli, OPT_JSON))
        printf("Revoked %s\n", cli->args[0]);
    return r;
}

/* A line of stdin; not shown if that is a terminal. */
static void read_secret(const char *prompt, char *ret, size_t size)
{
    struct termios shown;
    bool terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &shown) == 0;
    if (terminal) {
        fputs(prompt, stderr);
        struct termios hidden = shown;
        hidden.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
    }
    if (!fgets(ret, (int)size, stdin))
        *ret = '\0';
    ret[strcspn(ret, "\r\n")] = '\0';
    if (terminal) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
        fputc('\n', stderr);
    }
}

int verb_login(struct cli *cli, struct err *err)
{
    char typed[512] = "";
    const char *token = cli->values[OPT_TOKEN];
    if (!token) {
        read_secret("Token (davit tokens create): ", typed, sizeof(typed));
        token = typed;
    }
    if (!*token)
        return err_set(err, ERR_USAGE, "a token is needed");
    struct client *c;
    cli->values[OPT_URL] = cli->args[0];
    cli->values[OPT_ROOT] = NULL;
    int r = client_get(cli, &c, err);
    if (r < 0)
        return r;
    free(c->token);
    c->token = xstrdup(token);
    json_auto_t *status = NULL;
    if ((r = api_call(cli, "GET", "/v1/status", NULL, &status, err)) < 0 ||
        (r = credentials_store(c->url, token, true, err)) < 0)
        return r;
    _cleanup_free_ char *version = field_text(status, "version");
    printf("Signed in to %s, Davit %s\n", c->url, version);
    return 0;
}

int verb_logout(struct cli *cli, struct err *err)
{
    (void)cli;
    _cleanup_free_ char *server = credentials_default();
    if (!server)
        return err_set(err, ERR_NOT_FOUND, "nobody is signed in");
    int r = credentials_store(server, NULL, false, err);
    if (r == 0)
        printf("Forgot the token of %s\n", server);
    return r;
}
