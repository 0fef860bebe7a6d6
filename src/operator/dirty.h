/* What a pass has to look at: subjects (apps, builds …) of which something changed, or whose time
 * has come. So a pass costs what changed, not what there is. Pure. */
#ifndef OPERATOR_DIRTY_H
#define OPERATOR_DIRTY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct dirty {
    struct subject *items; /* sorted by name: the dirty, the waiting and the taken ones */
    size_t n, next;        /* next: where dirty_take goes on */
};

void dirty_release(struct dirty *d);

void dirty_add(struct dirty *d, struct str name);
/* It becomes dirty at `at`; of several times the earliest counts, until it is taken. */
void dirty_add_at(struct dirty *d, struct str name, int64_t at);
/* Makes those dirty whose time has come. Returns when the next one's does; INT64_MAX: none waits.
 */
int64_t dirty_due(struct dirty *d, int64_t now);

/* Takes the next one, in order; NULL: there is none left. What it waited for is forgotten. The name
 * is valid until dirty_settle. One that becomes dirty again behind the walk's back is for the next
 * pass. */
const char *dirty_take(struct dirty *d);
/* What was taken has been dealt with; or, if not `done`, is dirty again. */
void dirty_settle(struct dirty *d, bool done);

#endif
