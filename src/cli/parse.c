#include "cli/cli.h"

#include <stdio.h>

enum { WORDS_MAX = 256 };

static size_t first_word(const char *words) { return strcspn(words, " "); }

static bool is_noun(const char *word)
{
    for (const struct verb *v = verbs; v->words; v++)
        if (strlen(word) == first_word(v->words) && !strncmp(word, v->words, strlen(word)))
            return true;
    return false;
}

/* `args` begin with the verb's words: how many they are, 0 if they don't. */
static size_t matches(const struct verb *v, const char **args, size_t n)
{
    size_t first = first_word(v->words);
    const char *second = v->words[first] ? v->words + first + 1 : NULL;
    if (!n || strlen(args[0]) != first || strncmp(args[0], v->words, first) != 0)
        return 0;
    if (!second)
        return 1;
    return n > 1 && streq(args[1], second) ? 2 : 0;
}

const struct verb *verb_find(const char **args, size_t n, size_t *ret_words)
{
    for (const struct verb *v = verbs; v->words; v++)
        if ((*ret_words = matches(v, args, n)))
            return v;
    for (const struct verb *v = verbs; v->words && n == 1; v++)
        if (is_noun(args[0]) && strlen(args[0]) == first_word(v->words) &&
            !strncmp(v->words, args[0], first_word(v->words))) {
            *ret_words = 1;
            return v;
        }
    return NULL;
}

static const struct {
    const char *words, *hint;
} foreign[] = {
#define FOREIGN(words, hint) {words, hint},
#include "cli/foreign.h"
#undef FOREIGN
};

static const char *foreign_hint(const char *words)
{
    for (size_t i = 0; i < ARRAY_LEN(foreign); i++)
        if (streq(foreign[i].words, words))
            return foreign[i].hint;
    return NULL;
}

/* The hint for words of another tool, "config:set" too: a command, or a whole sentence. The
 * caller's; NULL: none. */
static char *hint_for_foreign(const char **args, size_t n)
{
    struct str second = str_of(args[0]), first = str_cut(&second, ':');
    bool colon = second.len;
    if (!colon && n > 1)
        second = str_of(args[1]);
    _cleanup_free_ char *noun = xstrndup(first.ptr, first.len),
                        *verb = xstrndup(second.ptr ? second.ptr : "", second.len),
                        *both = xasprintf("%s %s", noun, verb);
    size_t words = 0;
    const char *hint = foreign_hint(both);
    if (!hint && !is_noun(noun))
        hint = foreign_hint(noun);
    if (!hint && colon && verb_find((const char *[]){noun, verb}, 2, &words))
        return xasprintf("davit %s", both); /* "maintenance:on" as well */
    return hint ? xstrdup(hint) : NULL;
}

static int did_you_mean(const char *hint, struct err *err)
{
    bool command = !strncmp(hint, "davit ", 6) || !strncmp(hint, "git ", 4);
    return err_hint(err, command ? "did you mean `%s`?" : "%s", hint);
}

int verb_unknown(const char **args, size_t n, struct err *err)
{
    _cleanup_(strv_release) struct strv words = {0};
    bool noun = is_noun(args[0]);
    for (const struct verb *v = verbs; v->words; v++) {
        size_t first = first_word(v->words);
        if (noun && !strncmp(v->words, args[0], first) && v->words[first])
            strv_add(&words, v->words + first + 1);
        else if (!noun)
            strv_take(&words, xstrndup(v->words, first));
    }
    const char *wrong = noun ? args[n > 1 ? 1 : 0] : args[0];
    const char *near = nearest(wrong, (const char *const *)words.items, words.n);
    err_set(err, ERR_USAGE, noun ? "there is no `davit %s %s`" : "there is no `davit %s`", args[0],
            wrong);
    _cleanup_free_ char *known = hint_for_foreign(args, n),
                        *meant = near ? xasprintf("davit %s%s%s", noun ? args[0] : "",
                                                  noun ? " " : "", near)
                                      : NULL;
    if (known || meant)
        return did_you_mean(known ? known : meant, err);
    return err_hint(
        err, noun ? "`davit %s --help` lists what there is" : "`davit help` lists what there is",
        args[0]);
}

static int find_option(const char *text, enum option *ret, struct err *err)
{
    const char *names[OPT_COUNT];
    struct str rest = str_of(text + 2), name = str_cut(&rest, '=');
    for (size_t i = 0; i < OPT_COUNT; i++) {
        names[i] = options[i].long_name;
        if ((text[1] == '-' && str_eq(name, str_of(names[i]))) ||
            (text[1] != '-' && text[1] == options[i].short_name)) {
            *ret = (enum option)i;
            return 0;
        }
    }
    err_set(err, ERR_USAGE, "there is no option %s", text);
    const char *near = text[1] == '-' ? nearest(text + 2, names, OPT_COUNT) : NULL;
    if (near)
        return err_hint(err, "did you mean --%s?", near);
    return err_hint(err, "`davit help` lists what there is");
}

/* Takes the option at argv[*i] and its value, which may stand in the same word or in the next. */
static int take_option(struct cli *cli, int argc, char **argv, int *i, struct err *err)
{
    enum option o = OPT_HELP;
    const char *text = argv[*i];
    int r = find_option(text, &o, err);
    if (r < 0)
        return r;
    const char *equals = text[1] == '-' ? strchr(text, '=') : NULL;
    const char *joined = equals ? equals + 1 : text[1] != '-' && text[2] ? text + 2 : NULL;
    if (!options[o].value) {
        if (joined)
            return err_set(err, ERR_USAGE, "--%s takes no value", options[o].long_name);
        cli->values[o] = "";
        return 0;
    }
    if (!joined && *i + 1 >= argc)
        return err_set(err, ERR_USAGE, "--%s needs a value: %s", options[o].long_name,
                       options[o].value);
    cli->values[o] = joined ? joined : argv[++*i];
    return 0;
}

static int check(const struct cli *cli, struct err *err)
{
    const struct verb *v = cli->verb;
    for (enum option i = 0; i < OPT_COUNT; i++)
        if (given(cli, i) && !verb_takes(v, i)) {
            err_set(err, ERR_USAGE, "`davit %s` takes no --%s", v->words, options[i].long_name);
            return err_hint(err, "`davit %s --help` says how it is used", v->words);
        }
    if ((int)cli->n_args < v->min || (v->max >= 0 && (int)cli->n_args > v->max)) {
        err_set(err, ERR_USAGE,
                (int)cli->n_args < v->min ? "`davit %s` needs more" : "`davit %s` takes less",
                v->words);
        return err_hint(err, "usage: davit %s %s", v->words, v->operands);
    }
    return 0;
}

int cli_parse(int argc, char **argv, struct cli *ret, struct err *err)
{
    struct cli c = {.args = xcalloc((size_t)argc + 1, sizeof(char *))};
    bool only_operands = false;
    int r = 0;
    for (int i = 1; i < argc && !r; i++)
        if (!only_operands && streq(argv[i], "--"))
            only_operands = true;
        else if (i == 1 && streq(argv[i], "--version")) /* as with most programs */
            c.args[c.n_args++] = "version";
        else if (!only_operands && argv[i][0] == '-' && argv[i][1])
            r = take_option(&c, argc, argv, &i, err);
        else
            c.args[c.n_args++] = argv[i];
    size_t words = 0;
    if (c.n_args) { /* an option that isn't known matters less than a verb that isn't */
        c.verb = verb_find(c.args, c.n_args, &words);
        if (!c.verb && !(given(&c, OPT_HELP) && is_noun(c.args[0])))
            r = verb_unknown(c.args, c.n_args, err);
    }
    c.n_args -= words;
    memmove(c.args, c.args + words, c.n_args * sizeof(char *));
    if (!r && c.verb && !given(&c, OPT_HELP))
        r = check(&c, err);
    if (r < 0)
        cli_release(&c);
    else
        *ret = c;
    return r;
}
