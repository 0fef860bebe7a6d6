/* What an operator is, as its room says it: one constant `struct operator_desc NAME_operator`, and
 * one line in model/operators.h. Everything that davitd does with an operator (start it as a
 * child, make its folders, drop what it doesn't need, offer its commands, tear down what it left
 * running) follows from here. */
#ifndef OPERATOR_DESCRIPTOR_H
#define OPERATOR_DESCRIPTOR_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "model/config.h"
#include "model/nouns.h"

struct op;

/* Which part of the world it acts on, and so how many of it may write at a time. */
enum scope {
    SCOPE_NODE,    /* this machine's: one runs on each */
    SCOPE_CLUSTER, /* all machines': one of those that run leads (/leaders/NAME), the others have no
                      passes; what it writes counts only as long as it leads */
};

enum folder_owner {
    OWNER_ROOT,
    OWNER_USER,   /* the user of the settings and its group */
    OWNER_SHARED, /* root's, the group is the user's: with mode 01775 both make entries there */
    OWNER_MAPPED, /* root of the instances: uid_base */
};

/* A folder that is there before the operator starts. In which of the settings' folders it lies is
 * said by BELOW(state), BELOW(run) …; `name` NULL is that one itself. */
struct folder {
    size_t below;
    const char *name;
    mode_t mode;
    enum folder_owner owner;
    bool is_file; /* an empty file instead */
};
#define BELOW(base) offsetof(struct config, base)

/* `davitd NAME [--FLAG]`: something the operator's room does on demand, without the operator. */
struct command {
    const char *name, *what;
    const char *flag, *flag_what; /* without dashes; NULL: takes none */
    int (*run)(const struct config *c, bool flag, struct err *err);
};

struct operator_desc {
    const char *name;
    /* Nouns it watches, NULL-terminated. It sees all that lies under their prefixes: /apps/ for any
     * noun of an app. */
    const struct schema *const *watches;
    /* The subject that a key is of (dirty.h), and whether it is of any: what a change of the key
     * makes dirty. NULL: nothing is; a pass looks at everything. */
    bool (*subject)(const char *key, struct str *ret);
    /* Once, when the mirror is first full: set up, adopt what already runs. An error ends the
     * program. */
    int (*start)(struct op *op, void *ctx, struct err *err);
    /* A pass. now: time_mono_ms(). */
    void (*reconcile)(struct op *op, void *ctx, int64_t now);
    /* SIGTERM or SIGINT came (may be NULL): let go, but leave running what outlives us. The loop
     * ends after it. */
    void (*stop)(struct op *op, void *ctx);

    const char *what; /* one line for `davitd --help` */
    enum scope scope;
    bool as_user;          /* runs as the user of the settings instead of root … */
    uint64_t capabilities; /* … which keeps these (CAP_TO_MASK), as do programs it starts */
    const struct folder *folders;            /* ended by one without a mode; NULL: none */
    const struct command *commands;          /* ended by one without a name; NULL: none */
    bool (*enabled)(const struct config *c); /* whether this machine runs it; NULL: always */
    /* `davitd NAME`: makes its context and calls operator_run. Returns the exit status. */
    int (*main)(const struct config *c);
    /* `davitd teardown`: ends what the operator has left running; data stays. It runs no longer
     * itself. NULL: it leaves nothing. */
    int (*teardown)(const struct config *c, struct err *err);
};

#endif
