#include "shim/policy.h"

#include "base/mem.h"

#define STAY ((enum policy_state)0)

/* How long the machine waits for the next event: as long as before, … */
enum wait { KEEP, NEVER, START, GRACE, PAUSE };

struct transition {
    enum policy_state next;
    enum policy_action action;
    enum wait wait;
};

/* What isn't in the table changes nothing. */
static const struct transition transitions[POLICY_STATES][POLICY_EVENTS] = {
    [POLICY_STARTING][POLICY_STARTED] = {POLICY_RUNNING, POLICY_NOTHING, NEVER},
    [POLICY_STARTING][POLICY_GONE] = {POLICY_CRASHED, POLICY_NOTHING, PAUSE},
    [POLICY_STARTING][POLICY_TERM] = {POLICY_ABORTING, POLICY_NOTHING, GRACE},
    [POLICY_STARTING][POLICY_TIMEOUT] = {STAY, POLICY_KILL, NEVER},

    [POLICY_RUNNING][POLICY_GONE] = {POLICY_CRASHED, POLICY_NOTHING, PAUSE},
    [POLICY_RUNNING][POLICY_TERM] = {POLICY_STOPPING, POLICY_SIGNAL, GRACE},
    [POLICY_RUNNING][POLICY_RESTART] = {POLICY_CYCLING, POLICY_SIGNAL, GRACE},

    [POLICY_ABORTING][POLICY_STARTED] = {POLICY_STOPPING, POLICY_SIGNAL, GRACE},
    [POLICY_ABORTING][POLICY_GONE] = {POLICY_STOPPED, POLICY_NOTHING, NEVER},
    [POLICY_ABORTING][POLICY_TIMEOUT] = {STAY, POLICY_KILL, NEVER},

    [POLICY_STOPPING][POLICY_GONE] = {POLICY_STOPPED, POLICY_NOTHING, NEVER},
    [POLICY_STOPPING][POLICY_TIMEOUT] = {STAY, POLICY_KILL, NEVER},

    [POLICY_CYCLING][POLICY_GONE] = {POLICY_STARTING, POLICY_START, START},
    [POLICY_CYCLING][POLICY_TERM] = {POLICY_STOPPING, POLICY_NOTHING, KEEP},
    [POLICY_CYCLING][POLICY_TIMEOUT] = {STAY, POLICY_KILL, NEVER},

    [POLICY_CRASHED][POLICY_TERM] = {POLICY_STOPPED, POLICY_NOTHING, NEVER},
    [POLICY_CRASHED][POLICY_RESTART] = {POLICY_STARTING, POLICY_START, START},
    [POLICY_CRASHED][POLICY_TIMEOUT] = {POLICY_STARTING, POLICY_START, START},
};

int64_t policy_pause_ms(unsigned failures)
{
    if (failures <= 1)
        return 0;
    int64_t pause = POLICY_FIRST_PAUSE_MS;
    for (unsigned i = 2; i < failures && pause < POLICY_LONGEST_PAUSE_MS; i++)
        pause *= 2;
    return MIN(pause, (int64_t)POLICY_LONGEST_PAUSE_MS);
}

static void count_failure(struct policy *p, int64_t now_ms)
{
    if (p->started_ms && now_ms - p->started_ms >= POLICY_HEALTHY_MS)
        p->failures = 0;
    p->failures++;
}

static int64_t wake_at(const struct policy *p, enum wait wait, int64_t now_ms)
{
    switch (wait) {
    case KEEP: return p->wake_ms;
    case NEVER: return 0;
    case START: return now_ms + POLICY_START_MS;
    case GRACE: return now_ms + p->grace_ms;
    case PAUSE: return now_ms + policy_pause_ms(p->failures);
    }
    return 0;
}

void policy_init(struct policy *p, bool restart, int64_t grace_ms, int64_t now_ms)
{
    *p = (struct policy){.restart = restart, .grace_ms = grace_ms, .state = POLICY_STARTING};
    p->wake_ms = wake_at(p, START, now_ms);
}

enum policy_action policy_step(struct policy *p, enum policy_event event, int64_t now_ms)
{
    struct transition t = transitions[p->state][event];
    if (t.next == POLICY_CRASHED) {
        count_failure(p, now_ms);
        if (!p->restart)
            t = (struct transition){POLICY_STOPPED, POLICY_NOTHING, NEVER};
    }
    if (t.next == POLICY_RUNNING)
        p->started_ms = now_ms;
    if (t.next == POLICY_STARTING)
        p->started_ms = 0;
    if (t.next != STAY)
        p->state = t.next;
    p->wake_ms = wake_at(p, t.wait, now_ms);
    return t.action;
}

enum shim_state policy_shows(enum policy_state state)
{
    static const enum shim_state shown[POLICY_STATES] = {
        [POLICY_STARTING] = SHIM_STARTING, [POLICY_RUNNING] = SHIM_RUNNING,
        [POLICY_ABORTING] = SHIM_STOPPING, [POLICY_STOPPING] = SHIM_STOPPING,
        [POLICY_CYCLING] = SHIM_STOPPING,  [POLICY_CRASHED] = SHIM_CRASHED,
        [POLICY_STOPPED] = SHIM_STOPPED};
    return shown[state];
}
