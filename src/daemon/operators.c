#include "api/api.h"
#include "builder/builder.h"
#include "daemon/daemon.h"
#include "gateway/gateway.h"
#include "run/run.h"

const struct operator_entry operators[] = {
#define ROOT false
#define USER true
#define OPERATOR(name, main, runs_as, what) {#name, main, runs_as, what},
#include "daemon/operators.h"
#undef OPERATOR
    {0},
};

const struct operator_entry *operator_entry(const char *name)
{
    for (const struct operator_entry *o = operators; o->name; o++)
        if (streq(o->name, name))
            return o;
    return NULL;
}
