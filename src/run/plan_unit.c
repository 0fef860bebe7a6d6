#include "run/plan_unit.h"

#include <stdio.h>

#include "base/array.h"
#include "base/mem.h"
#include "base/str.h"

/* ---- what starting takes ---- */

void pool_take(struct plan_pool *p, uint16_t host)
{
    p->used[host / 8] |= (uint8_t)(1 << host % 8);
}

/* .0.0 is the network, .0.1 the bridge, .255.255 the broadcast. 0: all are taken. */
static uint16_t pool_give(struct plan_pool *p)
{
    for (int tries = 0; tries < 65536; tries++) {
        uint16_t host = p->next++;
        if (host < 2 || host == 65535 || p->used[host / 8] & 1 << host % 8)
            continue;
        pool_take(p, host);
        return host;
    }
    return 0;
}

/* ---- what comes out ---- */

static void wake_at(struct pass *p, int64_t when)
{
    if (!p->out->wake || when < p->out->wake)
        p->out->wake = when;
}

struct action *pass_act(struct pass *p, enum action_type type, int unit)
{
    struct plan *o = p->out;
    struct action *a = array_add(o->actions, o->n);
    *a = (struct action){.type = type, .unit = unit};
    if (unit >= 0) {
        const struct unit *u = &p->in->units[unit];
        a->process = u->type;
        a->release = u->release;
        a->generation = u->generation;
        a->index = u->index;
    }
    return a;
}

/* ---- how it is ---- */

bool unit_active(int state)
{
    return state == INSTANCE_STARTING || state == INSTANCE_READY || state == INSTANCE_CRASHED;
}

int unit_state(const struct unit *u)
{
    int s = u->recorded ? u->state : INSTANCE_STARTING;
    if (!unit_active(s) || !u->alive)
        return s;
    switch (u->shim) {
    case SHIM_CRASHED: return INSTANCE_CRASHED;
    case SHIM_NONE:
    case SHIM_STARTING: return INSTANCE_STARTING;
    case SHIM_RUNNING: break;
    case SHIM_STOPPING: /* on its way down, whether to start again or not */
    case SHIM_STOPPED: return u->told_to_stop ? s : INSTANCE_STARTING;
    }
    if (u->probe == PROBE_READY)
        return INSTANCE_READY;
    bool same_process = s == INSTANCE_READY && u->seen_pid == u->pid;
    return same_process && u->probe != PROBE_FAILING ? INSTANCE_READY : INSTANCE_STARTING;
}

/* Whether nobody looks after it though somebody should. */
static bool lost(const struct pass *p, int i)
{
    return !p->in->units[i].alive && unit_active(p->out->next[i]);
}

/* ---- starting and stopping ---- */

static int64_t retry_time(const struct unit *u)
{
    if (!u->attempts)
        return 0;
    int64_t pause = u->attempts > 6 ? RETRY_MAX_MS : (int64_t)1000 << (u->attempts - 1);
    return u->attempted + MIN(pause, (int64_t)RETRY_MAX_MS);
}

static bool may_start(struct pass *p)
{
    if (p->pool->starts > 0) {
        p->pool->starts--;
        return true;
    }
    p->out->crowded = true;
    return false;
}

void unit_start_again(struct pass *p, int i)
{
    const struct unit *u = &p->in->units[i];
    if (retry_time(u) > p->in->now) {
        wake_at(p, retry_time(u));
        return;
    }
    if (!may_start(p))
        return;
    pass_act(p, ACT_START, i)->host = u->host ? u->host : pool_give(p->pool);
    p->out->next[i] = INSTANCE_STARTING;
}

void unit_start_new(struct pass *p, const struct rollout *r, const char *type, int64_t index)
{
    if (!may_start(p))
        return;
    struct action *a = pass_act(p, ACT_START, -1);
    a->process = type;
    a->release = r->release;
    a->generation = r->generation;
    a->index = index;
    a->host = pool_give(p->pool);
}

static void stop(struct pass *p, int i)
{
    const struct unit *u = &p->in->units[i];
    if (!u->alive) {
        pass_act(p, ACT_REMOVE, i);
    } else {
        if (!u->told_to_stop)
            pass_act(p, ACT_STOP, i);
        p->out->next[i] = INSTANCE_STOPPING;
    }
}

/* What the gateway doesn't know of gets no requests. */
static bool serves(const struct unit *u)
{
    return u->alive && streq(u->type, "web") && u->recorded && u->state == INSTANCE_READY;
}

void unit_retire(struct pass *p, int i)
{
    const struct unit *u = &p->in->units[i];
    int *next = &p->out->next[i];
    int64_t deadline = u->since + p->in->drain_ms;
    if (p->in->gone) {
        stop(p, i);
    } else if (*next == INSTANCE_READY && serves(u)) {
        *next = INSTANCE_DRAINING;
        wake_at(p, p->in->now + p->in->drain_ms);
    } else if (*next == INSTANCE_DRAINING && u->alive && u->shim == SHIM_RUNNING &&
               p->in->now < deadline) {
        wake_at(p, deadline);
    } else {
        stop(p, i);
    }
}

/* ---- whether it will ever get ready ---- */

static int64_t boot_ms(const struct pass *p, const struct unit *u)
{
    const struct process *of = NULL;
    for (size_t i = 0; i < p->in->n_rollouts; i++)
        if (p->in->rollouts[i].release && p->in->rollouts[i].rollout->release == u->release)
            of = release_process(p->in->rollouts[i].release, u->type);
    return of ? process_boot_ms(of, p->in->boot_ms) : p->in->boot_ms;
}

static void too_late(const struct pass *p, const struct unit *u, char reason[REASON_MAX])
{
    snprintf(reason, REASON_MAX, "%s.%lld %s within %lld s (R10 boot timeout)", u->type,
             (long long)u->index, u->probe_reason ? u->probe_reason : "did not get ready",
             (long long)(boot_ms(p, u) / 1000));
}

static bool exited_too_often(const struct unit *u)
{
    return u->restarts + (u->shim == SHIM_CRASHED) >= BOOT_EXITS;
}

const char *unit_start_error(const struct unit *u)
{
    return u->attempt_error          ? u->attempt_error
           : u->reason && *u->reason ? u->reason
                                     : "its supervisor died";
}

bool unit_hopeless(struct pass *p, int i, char reason[REASON_MAX])
{
    const struct unit *u = &p->in->units[i];
    int64_t deadline = u->made + boot_ms(p, u);
    const char *why = u->reason ? u->reason : "";
    if (!unit_active(p->out->next[i]))
        return false;
    if (u->alive && exited_too_often(u) && u->exit < 0) {
        snprintf(reason, REASON_MAX, "%s.%lld could not be started: %s", u->type,
                 (long long)u->index, why);
        return true;
    }
    if (u->alive && exited_too_often(u)) {
        snprintf(reason, REASON_MAX, "%s.%lld exited at boot with status %lld%s%s%s", u->type,
                 (long long)u->index, (long long)u->exit, *why ? " (" : "", why, *why ? ")" : "");
        return true;
    }
    if (!u->alive && u->attempts >= START_ATTEMPTS) {
        snprintf(reason, REASON_MAX, "%s.%lld could not be started: %s", u->type,
                 (long long)u->index, unit_start_error(u));
        return true;
    }
    if (p->out->next[i] == INSTANCE_READY)
        return false;
    if (u->alive && u->probe == PROBE_STUCK) {
        snprintf(reason, REASON_MAX, "%s.%lld %s", u->type, (long long)u->index, u->probe_reason);
        return true;
    }
    if (p->in->now < deadline) {
        wake_at(p, deadline);
        return false;
    }
    too_late(p, u, reason);
    return true;
}

/* ---- keeping it going ---- */

static void restart_dead(struct pass *p, int i)
{
    const struct unit *u = &p->in->units[i];
    if (u->kicked_pid == u->pid)
        return;
    struct action *a = pass_act(p, ACT_KICK, i);
    snprintf(a->reason, sizeof(a->reason), "%s.%lld %s", u->type, (long long)u->index,
             u->probe_reason ? u->probe_reason : "failed its liveness checks");
}

/* An instance of a live release that doesn't get ready: another process may have more luck. */
static void restart_late(struct pass *p, int i)
{
    const struct unit *u = &p->in->units[i];
    if (u->shim != SHIM_RUNNING || u->kicked_pid == u->pid ||
        p->out->next[i] != INSTANCE_STARTING || !u->recorded || u->state != INSTANCE_STARTING)
        return;
    int64_t deadline = u->since + boot_ms(p, u);
    if (p->in->now < deadline)
        wake_at(p, deadline);
    else
        too_late(p, u, pass_act(p, ACT_KICK, i)->reason);
}

void unit_sustain(struct pass *p, int i, bool live)
{
    const struct unit *u = &p->in->units[i];
    int *next = &p->out->next[i];
    if (!u->alive && !unit_active(*next))
        pass_act(p, ACT_REMOVE, i); /* it was on its way out; the next pass makes a new one */
    else if (lost(p, i))
        unit_start_again(p, i);
    else if ((*next == INSTANCE_DRAINING || *next == INSTANCE_DRAINED) && u->shim == SHIM_RUNNING &&
             u->seen_pid == u->pid)
        *next = INSTANCE_READY; /* wanted again before it was gone */
    else if (*next == INSTANCE_STOPPING || *next == INSTANCE_STOPPED)
        stop(p, i);
    else if (u->probe == PROBE_DEAD)
        restart_dead(p, i);
    else if (live)
        restart_late(p, i);
}
