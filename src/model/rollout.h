/* What `release`, which decides, and the engines, which realise, agree on: how much of a release
 * runs, which instances a rollout implies, what its status says, how long an instance may take.
 * Pure. */
#ifndef MODEL_ROLLOUT_H
#define MODEL_ROLLOUT_H

#include "model/nouns.h"

enum {
    BOOT_EXITS = 3,     /* exits before getting ready that fail a release */
    START_ATTEMPTS = 3, /* the same for one that can't be started */
};

/* A rollout beside what it is of and what its engine made of it. Borrowed. */
struct rollout_seen {
    const struct rollout *rollout;
    const struct release *release;       /* NULL: not known (yet) */
    const struct rollout_status *status; /* NULL: none yet */
};

/* How many instances of each type should run; without the phases. *ret is zeroed by the caller. */
void formation_of(const struct desired *d, const struct release *r, struct counts *ret);

/* Whether an instance of the rollout's release is one of those it asks for. A phase runs once a
 * release, whatever its generation. */
bool rollout_asks_for(const struct rollout *r, const char *type, int64_t generation, int64_t index);

/* How long a process may take to get ready: what its checks wait for on purpose does not count. */
int64_t process_boot_ms(const struct process *p, int64_t boot_ms);

/* ---- what the status says ---- */

/* Why the rollout as it is now will never be ready; NULL: nothing says so. */
const char *rollout_failure(const struct rollout_seen *r);
/* Everything it asks for is ready. */
bool rollout_complete(const struct rollout_seen *r);
/* Whether this phase ("release", "postdeploy") has run. *ret_exit (may be NULL): how it ended; -1:
 * nobody knows. */
bool rollout_phase_ended(const struct rollout_status *s, const char *type, int64_t *ret_exit);

/* ---- writing it ---- */

/* A new status of a rollout: nothing is ready yet. What was final in the one before stays: how
 * phases ended, and why it failed as long as it is the same attempt. */
void rollout_status_begin(const struct rollout_seen *r, struct rollout_status *ret);
/* One more instance of a type is ready; or what keeps one from it. */
void rollout_status_ready(struct rollout_status *s, const char *type);
void rollout_status_waits(struct rollout_status *s, const char *type, const char *why);
void rollout_status_fail(struct rollout_status *s, const char *reason);

#endif
