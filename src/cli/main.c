#include <stdio.h>

#include "cli/checkout.h"
#include "cli/client.h"

int cli_app(struct cli *cli, const char *arg, const char **ret, struct err *err)
{
    const char *named = arg ? arg : cli->values[OPT_APP];
    if (!named && !cli->app) {
        _cleanup_free_ char *remote = checkout_remote();
        cli->app = remote ? checkout_app(remote) : NULL;
        if (!cli->app) {
            err_set(err, ERR_USAGE, "which app?");
            return err_hint(err, "name it with -a APP, or stand in a checkout whose git remote "
                                 "`davit` is the app's (davit apps create adds it)");
        }
    }
    *ret = named ? named : cli->app;
    return 0;
}

void cli_release(struct cli *cli)
{
    if (cli->client)
        client_free(cli->client);
    free(cli->app);
    free(cli->args);
    *cli = (struct cli){0};
}

static int complain(const struct err *err)
{
    fflush(stdout);
    fprintf(stderr, "error: %s\n", err->msg);
    if (*err->hint)
        fprintf(stderr, "hint: %s\n", err->hint);
    return err_code_exit(err->code);
}

int main(int argc, char **argv)
{
    struct err err = {0};
    _cleanup_(cli_release) struct cli cli = {0};
    if (cli_parse(argc, argv, &cli, &err) < 0)
        return complain(&err);
    if (!cli.verb || given(&cli, OPT_HELP)) {
        help_print(cli.verb);
        return 0;
    }
    if (cli.verb->run(&cli, &err) < 0)
        return complain(&err);
    if (fflush(stdout) == EOF) {
        err_errno(&err, "writing the answer");
        return complain(&err);
    }
    return 0;
}
