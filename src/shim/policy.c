#include "shim/policy.h"

#include "base/mem.h"

#define STAY ((enum shim_state)0)

/* How long the machine waits for the next event: as long as before, … */
enum wait { KEEP, NEVER, START, GRACE, PAUSE };

struct transition {
    enum shim_state next;
    enum shim_action action;
    enum wait wait;
};

/* What isn't in the table changes nothing. */
static const struct transition transitions[SHIM_STATES][SHIM_EVENTS] = {
    [SHIM_STARTING][SHIM_STARTED] = {SHIM_RUNNING, SHIM_NOTHING, NEVER},
    [SHIM_STARTING][SHIM_GONE] = {SHIM_CRASHED, SHIM_NOTHING, PAUSE},
    [SHIM_STARTING][SHIM_TERM] = {SHIM_ABORTING, SHIM_NOTHING, GRACE},
    [SHIM_STARTING][SHIM_TIMEOUT] = {STAY, SHIM_KILL, NEVER},

    [SHIM_RUNNING][SHIM_GONE] = {SHIM_CRASHED, SHIM_NOTHING, PAUSE},
    [SHIM_RUNNING][SHIM_TERM] = {SHIM_STOPPING, SHIM_SIGNAL, GRACE},
    [SHIM_RUNNING][SHIM_RESTART] = {SHIM_CYCLING, SHIM_SIGNAL, GRACE},

    [SHIM_ABORTING][SHIM_STARTED] = {SHIM_STOPPING, SHIM_SIGNAL, GRACE},
    [SHIM_ABORTING][SHIM_GONE] = {SHIM_STOPPED, SHIM_NOTHING, NEVER},
    [SHIM_ABORTING][SHIM_TIMEOUT] = {STAY, SHIM_KILL, NEVER},

    [SHIM_STOPPING][SHIM_GONE] = {SHIM_STOPPED, SHIM_NOTHING, NEVER},
    [SHIM_STOPPING][SHIM_TIMEOUT] = {STAY, SHIM_KILL, NEVER},

    [SHIM_CYCLING][SHIM_GONE] = {SHIM_STARTING, SHIM_START, START},
    [SHIM_CYCLING][SHIM_TERM] = {SHIM_STOPPING, SHIM_NOTHING, KEEP},
    [SHIM_CYCLING][SHIM_TIMEOUT] = {STAY, SHIM_KILL, NEVER},

    [SHIM_CRASHED][SHIM_TERM] = {SHIM_STOPPED, SHIM_NOTHING, NEVER},
    [SHIM_CRASHED][SHIM_RESTART] = {SHIM_STARTING, SHIM_START, START},
    [SHIM_CRASHED][SHIM_TIMEOUT] = {SHIM_STARTING, SHIM_START, START},
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
    *p = (struct policy){.restart = restart, .grace_ms = grace_ms, .state = SHIM_STARTING};
    p->wake_ms = wake_at(p, START, now_ms);
}

enum shim_action policy_step(struct policy *p, enum shim_event event, int64_t now_ms)
{
    struct transition t = transitions[p->state][event];
    if (t.next == SHIM_CRASHED) {
        count_failure(p, now_ms);
        if (!p->restart)
            t = (struct transition){SHIM_STOPPED, SHIM_NOTHING, NEVER};
    }
    if (t.next == SHIM_RUNNING)
        p->started_ms = now_ms;
    if (t.next == SHIM_STARTING)
        p->started_ms = 0;
    if (t.next != STAY)
        p->state = t.next;
    p->wake_ms = wake_at(p, t.wait, now_ms);
    return t.action;
}

const char *policy_state_name(enum shim_state state)
{
    static const char *const names[SHIM_STATES] = {
        [SHIM_STARTING] = "starting", [SHIM_RUNNING] = "running",  [SHIM_ABORTING] = "stopping",
        [SHIM_STOPPING] = "stopping", [SHIM_CYCLING] = "stopping", [SHIM_CRASHED] = "crashed",
        [SHIM_STOPPED] = "stopped"};
    return names[state];
}
