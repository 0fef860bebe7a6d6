#include "cli/cli.h"

#include <stdio.h>

static void print_options(const struct verb *v)
{
    puts("\noptions:");
    for (enum option i = 0; i < OPT_COUNT; i++) {
        if (!verb_takes(v, i))
            continue;
        const struct option_desc *o = &options[i];
        _cleanup_free_ char *left = xasprintf(
            "%c%c%c --%s %s", o->short_name ? '-' : ' ', o->short_name ? o->short_name : ' ',
            o->short_name ? ',' : ' ', o->long_name, o->value ? o->value : "");
        printf("  %-22s %s\n", left, o->help);
    }
}

static void print_verb(const struct verb *v)
{
    printf("davit %s %s\n    %s\n", v->words, v->operands, v->what);
    print_options(v);
}

void help_print(const struct verb *only)
{
    if (only) {
        print_verb(only);
        return;
    }
    puts("davit: deploys code, and keeps it running\n");
    for (const struct verb *v = verbs; v->words; v++) {
        if (!*v->what)
            continue;
        _cleanup_free_ char *left = xasprintf("davit %s %s", v->words, v->operands);
        printf("  %-44s %s\n", left, v->what);
    }
    print_options(NULL);
    puts("\n`davit VERB --help` says more of one.");
}
