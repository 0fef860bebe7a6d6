/* The resolvers that instances ask: the host's, but those on its loopback, which no instance
 * reaches. */
#ifndef RUN_RESOLV_H
#define RUN_RESOLV_H

#include <sys/stat.h>

#include "base/str.h"

struct resolv {
    const char *file; /* where they are written to; the caller's */
    uid_t owner;
    struct stat seen[2]; /* of what they were read from */
};

/* Writes the file unless it says already what the host's says now. Costs two calls of stat then:
 * for every start of an instance. */
int resolv_refresh(struct resolv *r, struct err *err);
/* The lines of the host's text that are for instances. Pure. */
void resolv_pick(struct str text, struct buf *ret);

#endif
