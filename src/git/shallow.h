/* A push from a shallow clone begins with pkt-lines "shallow COMMIT", one for each place where the
 * pusher's history is cut off. git itself would refuse it only after our hook has deployed it, so
 * the hook must know them. Pure. */
#ifndef GIT_SHALLOW_H
#define GIT_SHALLOW_H

#include "base/str.h"

enum { SHALLOW_MAX = 32 * 1024 }; /* bytes that are looked at: some 600 commits */

/* Reads the beginning of a push. False: it may go on with further ones behind what is here. True:
 * *ret has them all, a blank after each. */
bool shallow_read(struct str body, struct buf *ret);

#endif
