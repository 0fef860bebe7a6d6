#include "cli/cli.h"

const struct option_desc options[OPT_COUNT] = {
#define OPTION(id, short_name, long_name, value, help)                                             \
    [OPT_##id] = {long_name, value, help, short_name},
#include "cli/options.h"
#undef OPTION
};

#define O(id) OPT_##id,
#define NO_OPTIONS
const struct verb verbs[] = {
#define VERB(words, operands, min, max, options, function, what)                                   \
    {words, operands, min, max, (const enum option[]){options OPT_COUNT}, verb_##function, what},
#include "cli/verbs.h"
#undef VERB
    {0},
};

static bool among(const enum option *set, enum option o)
{
    while (*set != OPT_COUNT && *set != o)
        set++;
    return *set == o;
}

bool verb_takes(const struct verb *v, enum option o)
{
    static const enum option common[] = {OPT_HELP, OPT_JSON, OPT_ROOT, OPT_URL, OPT_COUNT};
    return among(common, o) || (v ? among(v->options, o) : o == OPT_APP);
}
