#include <stdio.h>

#include "cli/cli.h"
#include "cli/terminal.h"

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
    terminal_guard();
    struct err err = {0};
    _cleanup_(cli_release) struct cli cli = {0};
    if (cli_parse(argc, argv, &cli, &err) < 0)
        return complain(&err);
    if (!cli.verb || given(&cli, OPT_HELP)) {
        help_print(cli.verb);
        return 0;
    }
    if (cli.verb->run(&cli, &err) < 0) {
        cli_suggest_app(&cli, &err);
        return complain(&err);
    }
    if (fflush(stdout) == EOF) {
        err_errno(&err, "writing the answer");
        return complain(&err);
    }
    return 0;
}
