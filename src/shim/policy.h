/* What to do when something happens to the instance. Pure: the machine knows neither processes nor
 * clocks; it is told what happened, and says what to do and for how long to wait at most. */
#ifndef SHIM_POLICY_H
#define SHIM_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "pact/status.h"

enum policy_state {
    POLICY_STARTING = 1, /* crun runs, the app doesn't yet */
    POLICY_RUNNING,
    POLICY_ABORTING, /* told to stop while crun still starts it */
    POLICY_STOPPING, /* has its stop signal */
    POLICY_CYCLING,  /* the same, to be started again at once */
    POLICY_CRASHED,  /* waits for the next start */
    POLICY_STOPPED,  /* for good */
    POLICY_STATES
};

enum policy_event {
    POLICY_STARTED, /* crun has started it */
    POLICY_GONE,    /* it has ended, or couldn't be started */
    POLICY_TERM,    /* stop for good */
    POLICY_RESTART, /* stop and start now */
    POLICY_TIMEOUT, /* the wait is over */
    POLICY_EVENTS
};

enum policy_action {
    POLICY_NOTHING,
    POLICY_START,
    POLICY_SIGNAL, /* send the stop signal */
    POLICY_KILL,   /* kill all of it, and crun if it still runs */
};

struct policy {
    bool restart; /* a crash isn't the end */
    int64_t grace_ms;
    /* The machine's own: */
    enum policy_state state;
    unsigned failures;  /* in a row without a healthy run between them */
    int64_t started_ms; /* when POLICY_STARTED came; 0: not since the last start */
    int64_t wake_ms;    /* when to give it POLICY_TIMEOUT; 0: never */
};

enum {
    POLICY_START_MS = 60000,      /* crun may take this long to start it */
    POLICY_HEALTHY_MS = 60000,    /* who runs this long is healthy again */
    POLICY_FIRST_PAUSE_MS = 1000, /* before the second restart in a row; doubles */
    POLICY_LONGEST_PAUSE_MS = 60000
};

/* Begins: the caller starts the instance and `p` is POLICY_STARTING. */
void policy_init(struct policy *p, bool restart, int64_t grace_ms, int64_t now_ms);
/* Takes the event, moves on, and says what is to be done now. */
enum policy_action policy_step(struct policy *p, enum policy_event event, int64_t now_ms);
/* The pause before the next start after `failures` in a row: 0, 1 s, 2 s, … 60 s. */
int64_t policy_pause_ms(unsigned failures);
/* What the status says of it. */
enum shim_state policy_shows(enum policy_state state);

#endif
