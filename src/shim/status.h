/* What the shim tells `run`: the file DIR/status, lines "name value", replaced as a whole at each
 * change. */
#ifndef SHIM_STATUS_H
#define SHIM_STATUS_H

#include "base/str.h"

struct status {
    const char *state;
    int pid;           /* of the app, 0 while it doesn't run */
    int64_t since;     /* µs wall of this state */
    int64_t started;   /* µs wall of the last exec; 0: none yet */
    unsigned restarts; /* starts after the first */
    int exit;          /* of the last run; -1: it hasn't ended yet */
    char reason[512];  /* why it ended or couldn't start; empty if there is nothing to say */
    int64_t next;      /* µs wall of the next start while crashed, else 0 */
};

/* Lines for what isn't empty or 0. */
void status_format(const struct status *s, struct buf *ret);
int status_write(const struct status *s, const char *path, struct err *err);

#endif
