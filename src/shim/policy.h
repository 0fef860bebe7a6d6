/* What to do when something happens to the instance. Pure: the machine knows neither processes nor
 * clocks; it is told what happened, and says what to do and for how long to wait at most. */
#ifndef SHIM_POLICY_H
#define SHIM_POLICY_H

#include <stdbool.h>
#include <stdint.h>

enum shim_state {
    SHIM_STARTING = 1, /* crun runs, the app doesn't yet */
    SHIM_RUNNING,
    SHIM_ABORTING, /* told to stop while crun still starts it */
    SHIM_STOPPING, /* has its stop signal */
    SHIM_CYCLING,  /* the same, to be started again at once */
    SHIM_CRASHED,  /* waits for the next start */
    SHIM_STOPPED,  /* for good */
    SHIM_STATES
};

enum shim_event {
    SHIM_STARTED, /* crun has started it */
    SHIM_GONE,    /* it has ended, or couldn't be started */
    SHIM_TERM,    /* stop for good */
    SHIM_RESTART, /* stop and start now */
    SHIM_TIMEOUT, /* the wait is over */
    SHIM_EVENTS
};

enum shim_action {
    SHIM_NOTHING,
    SHIM_START,
    SHIM_SIGNAL, /* send the stop signal */
    SHIM_KILL,   /* kill all of it, and crun if it still runs */
};

struct policy {
    bool restart; /* a crash isn't the end */
    int64_t grace_ms;
    /* The machine's own: */
    enum shim_state state;
    unsigned failures;  /* in a row without a healthy run between them */
    int64_t started_ms; /* when SHIM_STARTED came; 0: not since the last start */
    int64_t wake_ms;    /* when to give it SHIM_TIMEOUT; 0: never */
};

enum {
    POLICY_START_MS = 60000,      /* crun may take this long to start it */
    POLICY_HEALTHY_MS = 60000,    /* who runs this long is healthy again */
    POLICY_FIRST_PAUSE_MS = 1000, /* before the second restart in a row; doubles */
    POLICY_LONGEST_PAUSE_MS = 60000
};

/* Begins: the caller starts the instance and `p` is SHIM_STARTING. */
void policy_init(struct policy *p, bool restart, int64_t grace_ms, int64_t now_ms);
/* Takes the event, moves on, and says what is to be done now. */
enum shim_action policy_step(struct policy *p, enum shim_event event, int64_t now_ms);
/* The pause before the next start after `failures` in a row: 0, 1 s, 2 s, … 60 s. */
int64_t policy_pause_ms(unsigned failures);
/* The state's name in `status` and in the log ("up" for running there). */
const char *policy_state_name(enum shim_state state);

#endif
