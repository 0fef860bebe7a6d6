/* A program in its own session that must not outlive its use: reaped when it ends, and until then
 * it can be told to end, all of its children included. */
#ifndef API_CHILD_H
#define API_CHILD_H

#include <uv.h>

#include "os/spawn.h"

struct child;

/* s->new_session and s->pidfd are set here. The child frees itself when it has ended and was let
 * go. */
int child_start(uv_loop_t *loop, struct spawn *s, struct child **ret, struct err *err);
/* Nobody is interested any more: SIGTERM to its whole process group if it still runs, SIGKILL if
 * that doesn't help within 5 s. */
void child_let_go(struct child *c);

#endif
