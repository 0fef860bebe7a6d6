#include <stdio.h>

#include "cli/cli.h"

int verb_version(struct cli *cli, struct err *err)
{
    (void)err;
    puts(given(cli, OPT_JSON) ? "{\"version\": \"" DAVIT_VERSION "\"}" : "davit " DAVIT_VERSION);
    return 0;
}

int verb_help(struct cli *cli, struct err *err)
{
    if (!cli->n_args) {
        help_print(NULL);
        return 0;
    }
    size_t words;
    const struct verb *v = verb_find(cli->args, cli->n_args, &words);
    if (!v)
        return verb_unknown(cli->args, cli->n_args, err);
    help_print(v);
    return 0;
}

static const char bash[] =
    "_davit() {\n"
    "    local IFS=$'\\n'\n"
    "    COMPREPLY=($(davit complete -- \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null))\n"
    "}\n"
    "complete -o default -F _davit davit\n";

static const char zsh[] =
    "#compdef davit\n"
    "_davit() {\n"
    "    local -a found\n"
    "    found=(${(f)\"$(davit complete -- \"${words[@]:1:$((CURRENT - 1))}\" 2>/dev/null)\"})\n"
    "    if (( $#found )); then compadd -a found; else _files; fi\n"
    "}\n"
    "if [ \"$funcstack[1]\" = _davit ]; then _davit; else compdef _davit davit; fi\n";

static const char fish[] = "complete -c davit -a '(davit complete -- (commandline -opc)[2..] "
                           "(commandline -ct) 2>/dev/null)'\n";

int verb_completion(struct cli *cli, struct err *err)
{
    const char *shell = cli->args[0];
    const char *script = streq(shell, "bash")   ? bash
                         : streq(shell, "zsh")  ? zsh
                         : streq(shell, "fish") ? fish
                                                : NULL;
    if (!script)
        return err_set(err, ERR_USAGE,
                       "there is no completion for '%s', only for bash, zsh and fish", shell);
    fputs(script, stdout);
    return 0;
}
