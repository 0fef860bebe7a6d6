#include "cli/remote.h"

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/checkout.h"
#include "cli/client.h"
#include "cli/credentials.h"
#include "cli/table.h"

/* The program git asks for a password, with what it needs to find us and the same Davit again. */
static char *credential_helper(const struct cli *cli)
{
    char self[PATH_MAX] = "", root[PATH_MAX] = "";
    if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
        return xstrdup("!davit git-credential");
    const char *wanted = cli->values[OPT_ROOT] ? cli->values[OPT_ROOT] : getenv("DAVIT_ROOT");
    if (wanted && *wanted && realpath(wanted, root))
        return xasprintf("!'%s' git-credential --root '%s'", self, root);
    return xasprintf("!'%s' git-credential", self);
}

/* Git would send it unasked: a token from before this Davit was made anew, say. */
static void forget_refused_token(const char *git_url)
{
    struct cli there = {.values[OPT_URL] = git_url};
    struct client *c;
    struct err err;
    if (client_get(&there, &c, &err) == 0 && c->token &&
        api_do(&there, "GET", "/v1/status", &err) == -ERR_UNAUTHENTICATED)
        credentials_store(c->url, NULL, false, &err);
    client_free(there.client);
}

static int check_old(const json_t *app, const char *git_url, struct err *err)
{
    _cleanup_free_ char *old = checkout_remote(), *name = field_text(app, "name");
    if (!old || streq(old, git_url))
        return 0;
    err_set(err, ERR_EXISTS, "the git remote davit of this checkout leads elsewhere: %s", old);
    return err_hint(err, "git remote remove davit && davit remote add %s", name);
}

int remote_adopt(struct cli *cli, const json_t *app, struct err *err)
{
    _cleanup_free_ char *git_url = field_text(app, "git_url"), *branch = field_text(app, "branch"),
                        *helper = credential_helper(cli), *gitconfig = credentials_gitconfig();
    int r = check_old(app, git_url, err);
    if (r < 0)
        return r;
    forget_refused_token(git_url);
    if ((r = checkout_set_remote(git_url, helper, gitconfig, err)) < 0)
        return r;
    if (!given(cli, OPT_JSON))
        printf("Git remote davit: %s\nDeploy: git push davit HEAD:%s\n", git_url,
               *branch ? branch : "main");
    return 0;
}

int verb_remote_add(struct cli *cli, struct err *err)
{
    const char *app;
    json_auto_t *doc = NULL;
    int r = cli_app(cli, cli->n_args ? cli->args[0] : NULL, &app, err);
    if (r < 0 || (r = app_call(cli, "GET", "/v1/apps/%", NULL, &doc, err)) < 0)
        return r;
    if (!checkout_is_one(".")) {
        err_set(err, ERR_USAGE, "this folder is not a git checkout");
        return err_hint(err, "go to the one whose code is to be deployed, or make one: git init");
    }
    if ((r = remote_adopt(cli, doc, err)) < 0)
        return r;
    if (given(cli, OPT_JSON))
        json_print(doc);
    return 0;
}
