/* davit complete -- WORD…: what could stand in place of the last word, one a line. Asked by the
 * scripts of `davit completion` at every press of TAB. */
#include <stdio.h>

#include "cli/client.h"
#include "cli/table.h"

static bool begins(const char *text, const char *prefix)
{
    return !strncmp(text, prefix, strlen(prefix));
}

static void offer(struct strv *found, const char *text, const char *prefix)
{
    if (begins(text, prefix) && !strv_has(found, text))
        strv_add(found, text);
}

static void offer_apps(struct cli *cli, struct strv *found, const char *prefix)
{
    struct err err;
    json_auto_t *doc = NULL;
    if (api_call(cli, "GET", "/v1/apps", NULL, &doc, &err) < 0)
        return;
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(doc, "items"), i, item)
    {
        _cleanup_free_ char *name = field_text(item, "name");
        offer(found, name, prefix);
    }
}

/* The word at place n (0 or 1) of the verbs that begin with what was typed before. */
static void offer_words(struct strv *found, const char **typed, size_t n, const char *prefix)
{
    for (const struct verb *v = verbs; v->words; v++) {
        size_t first = strcspn(v->words, " ");
        _cleanup_free_ char *noun = xstrndup(v->words, first);
        if (!*v->what)
            continue;
        if (n == 0)
            offer(found, noun, prefix);
        else if (streq(noun, typed[0]) && v->words[first])
            offer(found, v->words + first + 1, prefix);
    }
}

static void offer_options(struct strv *found, const struct verb *v, const char *prefix)
{
    for (enum option i = 0; v && i < OPT_COUNT; i++) {
        _cleanup_free_ char *text = xasprintf("--%s", options[i].long_name);
        if (verb_takes(v, i))
            offer(found, text, prefix);
    }
}

/* "on|off" or "[on|off]" are its only operands; "[APP]" is an app. */
static void offer_operands(struct cli *cli, struct strv *found, const struct verb *v,
                           const char *prefix)
{
    if (strstr(v->operands, "APP")) {
        offer_apps(cli, found, prefix);
        return;
    }
    struct str rest = str_of(v->operands);
    if (str_starts(rest, STR("[")))
        rest = (struct str){rest.ptr + 1, rest.len - 2};
    while (memchr(v->operands, '|', strlen(v->operands)) && rest.ptr) {
        struct str one = str_cut(&rest, '|');
        _cleanup_free_ char *text = xstrndup(one.ptr, one.len);
        offer(found, text, prefix);
    }
}

int verb_complete(struct cli *cli, struct err *err)
{
    (void)err;
    _cleanup_(strv_release) struct strv found = {0};
    if (!cli->n_args)
        return 0;
    const char *last = cli->args[cli->n_args - 1];
    const char *before = cli->n_args > 1 ? cli->args[cli->n_args - 2] : "";
    _cleanup_free_ const char **typed = xcalloc(cli->n_args, sizeof(char *));
    size_t n = 0, words = 0;
    for (size_t i = 0; i + 1 < cli->n_args; i++)
        if (cli->args[i][0] != '-')
            typed[n++] = cli->args[i];
    const struct verb *v = verb_find(typed, n, &words);
    if (streq(before, "-a") || streq(before, "--app"))
        offer_apps(cli, &found, last);
    else if (last[0] == '-')
        offer_options(&found, v, last);
    else {
        if (n < 2)
            offer_words(&found, typed, n, last);
        if (v && n >= words && !found.n)
            offer_operands(cli, &found, v, last);
    }
    for (size_t i = 0; i < found.n; i++)
        puts(found.items[i]);
    return 0;
}
