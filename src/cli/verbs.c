#include "cli/cli.h"

const struct option_desc options[OPT_COUNT] = {
#define OPTION(id, short_name, long_name, value, help)                                             \
    [OPT_##id] = {long_name, value, help, short_name},
#include "cli/options.h"
#undef OPTION
};

#define O(id) (1U << OPT_##id)
const struct verb verbs[] = {
#define VERB(words, operands, min, max, options, function, what)                                   \
    {words, operands, min, max, options, verb_##function, what},
#include "cli/verbs.h"
#undef VERB
    {0},
};

uint32_t verb_options(const struct verb *v)
{
    return v->options | O(HELP) | O(JSON) | O(ROOT) | O(URL);
}
