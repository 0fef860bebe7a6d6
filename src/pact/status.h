/* What a shim tells its engine: the file DIR/status, lines "name value" (pact/lines.h), replaced
 * as a whole at each change. */
#ifndef PACT_STATUS_H
#define PACT_STATUS_H

#include "base/str.h"

#define SHIM_STATES(X)                                                                             \
    X(NONE, "") /* nothing was said yet */                                                         \
    X(STARTING, "starting")                                                                        \
    X(RUNNING, "running")                                                                          \
    X(CRASHED, "crashed")   /* waits for the next start */                                         \
    X(STOPPING, "stopping") /* for good, or to be started again */                                 \
    X(STOPPED, "stopped")   /* for good */

enum shim_state {
#define X(name, text) SHIM_##name,
    SHIM_STATES(X)
#undef X
};

/* STATE(name), NUMBER(name, max), MAYBE(name, default, max), TEXT(name) */
#define PACT_STATUS(STATE, NUMBER, MAYBE, TEXT)                                                    \
    STATE(state)                                                                                   \
    NUMBER(since, INT64_MAX)     /* µs wall of this state */                                      \
    NUMBER(restarts, INT32_MAX)  /* starts after the first */                                      \
    MAYBE(pid, 0, INT32_MAX)     /* of the app; 0: it doesn't run */                               \
    MAYBE(started, 0, INT64_MAX) /* µs wall of the last exec; 0: none yet */                      \
    MAYBE(exit, -1, 255)         /* of the last run, 128 + signal; -1: none has ended */           \
    TEXT(reason)                 /* why it ended or couldn't start; NULL: nothing to say */        \
    MAYBE(next, 0, INT64_MAX)    /* µs wall of the next start while crashed, else 0 */

struct status {
#define STATE(name) enum shim_state name;
#define NUMBER(name, ...) int64_t name;
#define TEXT(name) char *name;
    PACT_STATUS(STATE, NUMBER, NUMBER, TEXT)
#undef STATE
#undef NUMBER
#undef TEXT
};

void pact_status_init(struct status *s);
void pact_status_release(struct status *s); /* it is as after init */
/* Its texts hold no newline. */
void pact_status_format(const struct status *s, struct buf *ret);
/* Anything is taken, shims of other versions live on: what isn't known or isn't there stays at its
 * default. */
void pact_status_parse(struct str text, struct status *ret);
const char *shim_state_name(enum shim_state state);

#endif
