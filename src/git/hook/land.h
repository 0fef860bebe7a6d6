/* What becomes of a ref once its push is deployed: the answers of git's proc-receive hook. */
#ifndef GIT_HOOK_LAND_H
#define GIT_HOOK_LAND_H

#include "base/str.h"

/* A line of git's protocol: four hex digits of length, then the text. */
void packet_add(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A command is "OLD NEW REF". A branch that another push has moved since this pusher looked, to
 * what NEW contains, is moved on to NEW. Everything else is left to git, which moves refs from OLD
 * only. The current folder is the repository. */
void land(struct str command, struct buf *answer);

#endif
