/* A program in its own session that must not outlive its use: reaped when it ends, and until then
 * it can be told to end, all of its children included. */
#ifndef GIT_CHILD_H
#define GIT_CHILD_H

#include <uv.h>

#include "os/spawn.h"

struct child;

/* s->new_session and s->pidfd are set here. `ended` (may be NULL) is called once it has ended,
 * unless it was let go before. The child frees itself when both are so. */
int child_start(uv_loop_t *loop, struct spawn *s, void (*ended)(void *arg), void *arg,
                struct child **ret, struct err *err);
/* Nobody is interested any more: SIGTERM to its whole process group if it still runs, SIGKILL if
 * that doesn't help within 5 s. */
void child_let_go(struct child *c);

#endif
