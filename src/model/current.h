/* What is current of an app: which of its releases is wanted, and which revision of its config
 * variables is in force. One rule for who runs releases, shows config, changes it or builds with
 * it. Pure. */
#ifndef MODEL_CURRENT_H
#define MODEL_CURRENT_H

#include "model/nouns.h"

struct release_seen {
    const struct release *release;
    int state; /* enum release_state */
};

/* Index into an app's releases (in the order of their numbers), -1: none. */
int release_newest_live(const struct release_seen *all, size_t n, int64_t except);
/* The desired one; if that failed or was overtaken, the newest live one. */
int release_wanted(const struct release_seen *all, size_t n, const struct desired *d);

/* The number of an app's next release: whoever makes one puts it into `desired` in the same
 * transaction. */
int64_t release_next(const struct desired *d);

/* Number of the revision in force; 0: no variables. It is the wanted release's, so that one that
 * failed takes its changes with it; but what was set for the next release (desired.config) counts
 * already, and while nothing was ever live everything that was set does: `newest` is the number of
 * the newest revision. */
int64_t config_in_force(const struct release_seen *all, size_t n, const struct desired *d,
                        int64_t newest);

#endif
