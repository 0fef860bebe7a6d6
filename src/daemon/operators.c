#include "daemon/daemon.h"

#define OPERATOR(room) extern const struct operator_desc room##_operator;
#include "model/operators.h"

const struct operator_desc *const operators[] = {
#define OPERATOR(room) &room##_operator,
#include "model/operators.h"
    NULL,
};

const struct operator_desc *operator_named(const char *name)
{
    for (size_t i = 0; operators[i]; i++)
        if (streq(operators[i]->name, name))
            return operators[i];
    return NULL;
}

const struct command *operator_command(const char *name)
{
    for (size_t i = 0; operators[i]; i++)
        for (const struct command *k = operators[i]->commands; k && k->name; k++)
            if (streq(k->name, name))
                return k;
    return NULL;
}
