/* The command line: what one invocation was asked for, and what every verb needs. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "base/words.h"

enum option {
#define OPTION(id, short_name, long_name, value, help) OPT_##id,
#include "cli/options.h"
#undef OPTION
    OPT_COUNT
};

struct cli;

struct verb {
    const char *words;    /* "apps create" */
    const char *operands; /* for the help */
    int min, max;         /* operands; max -1: any number */
    /* Those it takes beside the common ones, ended by OPT_COUNT. */
    const enum option *options;
    int (*run)(struct cli *cli, struct err *err);
    const char *what;
};

extern const struct verb verbs[]; /* ended by one without words */

struct option_desc {
    const char *long_name, *value, *help;
    char short_name;
};
extern const struct option_desc options[OPT_COUNT];
/* Whether a verb takes the option; NULL: whether it is one that most verbs take. */
bool verb_takes(const struct verb *v, enum option o);

/* One invocation. Strings belong to argv. */
struct cli {
    const struct verb *verb;
    const char *values[OPT_COUNT]; /* NULL: not given; "" for a flag */
    const char **args;
    size_t n_args;
    struct client *client; /* made on first use: client.h */
    char *app;             /* found on first use */
};

/* Takes argv apart. ERR_USAGE with a hint says what was wrong. With --help or without a verb,
 * ret->verb may be NULL. */
int cli_parse(int argc, char **argv, struct cli *ret, struct err *err);
void cli_release(struct cli *cli);
static inline bool given(const struct cli *cli, enum option o) { return cli->values[o]; }

/* The app this is about: operand `arg` if it was given, --app, or the checkout's remote. */
int cli_app(struct cli *cli, const char *arg, const char **ret, struct err *err);

/* Adds to a "not found" the app that was probably meant. */
void cli_suggest_app(struct cli *cli, struct err *err);

/* The verb that the words begin with and how many of them name it; NULL: none. */
const struct verb *verb_find(const char **words, size_t n, size_t *ret_words);
/* ERR_USAGE for words that name no verb, with the nearest one in the hint. */
int verb_unknown(const char **words, size_t n, struct err *err);

void help_print(const struct verb *v); /* NULL: all verbs */

/* "90", "90s", "10m", "2h", "3d" → seconds. */
int duration_parse(const char *text, int64_t *ret_s, struct err *err);

#define VERB(words, operands, min, max, options, function, what)                                   \
    int verb_##function(struct cli *cli, struct err *err);
#include "cli/verbs.h"
#undef VERB

#endif
