/* git's credential helper, gitcredentials(7): lines `name=value` come and go. Runs in every push
 * over HTTP, so a stored token is found without touching the network. */
#include <stdio.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/credentials.h"
#include "cli/table.h"

struct wanted {
    char *protocol, *host, *password;
};

static void wanted_release(struct wanted *w)
{
    free(w->protocol);
    free(w->host);
    free(w->password);
}

static void read_wanted(struct wanted *w)
{
    char line[8192];
    while (fgets(line, sizeof(line), stdin) && *line != '\n') {
        struct str value = str_trim(str_of(line));
        struct str name = str_cut(&value, '=');
        if (!value.ptr)
            continue;
        char **to = str_eq(name, STR("protocol"))   ? &w->protocol
                    : str_eq(name, STR("host"))     ? &w->host
                    : str_eq(name, STR("password")) ? &w->password
                                                    : NULL;
        if (to) {
            free(*to);
            *to = xstrndup(value.ptr, value.len);
        }
    }
}

/* Whether this machine's Davit is the one git talks to. */
static bool is_ours(struct cli *cli, const struct wanted *w, struct err *err)
{
    json_auto_t *status = NULL;
    if (api_call(cli, "GET", "/v1/status", NULL, &status, err) < 0)
        return false;
    _cleanup_free_ char *domain = field_text(status, "domain"),
                        *http = field_text(status, "http_port"),
                        *https = field_text(status, "https_port");
    const char *port = streq(w->protocol, "https") ? https : http;
    bool standard = streq(port, streq(w->protocol, "https") ? "443" : "80");
    _cleanup_free_ char *host =
        standard ? xasprintf("api.%s", domain) : xasprintf("api.%s:%s", domain, port);
    return streq(host, w->host);
}

/* On the machine itself nobody needs to sign in: the socket knows who we are. */
static char *mint(struct cli *cli, const struct wanted *w, const char *server)
{
    struct err err;
    json_auto_t *doc = NULL;
    char machine[256] = "";
    gethostname(machine, sizeof(machine) - 1);
    _cleanup_free_ char *name = xasprintf("git on %s", machine);
    if (!is_ours(cli, w, &err) || token_mint(cli, name, 0, &doc, &err) < 0)
        return NULL;
    char *token = field_text(doc, "token");
    if (credentials_store(server, token, false, &err) < 0)
        fprintf(stderr, "davit: the token could not be kept: %s\n", err.msg);
    return token;
}

int verb_git_credential(struct cli *cli, struct err *err)
{
    _cleanup_(wanted_release) struct wanted w = {0};
    const char *what = cli->args[0];
    read_wanted(&w);
    if (!w.protocol || !w.host)
        return 0;
    _cleanup_free_ char *server = xasprintf("%s://%s", w.protocol, w.host);
    _cleanup_free_ char *token = credentials_token(server);
    if (streq(what, "erase") && token && (!w.password || streq(w.password, token)))
        return credentials_store(server, NULL, false, err);
    if (!streq(what, "get"))
        return 0; /* git stores what we gave it: we have that already */
    if (!token && !(token = mint(cli, &w, server)))
        return 0; /* git asks the user */
    printf("username=davit\npassword=%s\n", token);
    return 0;
}
