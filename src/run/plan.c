#include "run/plan.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/str.h"

/* One pass: the input, what is shared, what comes out, and the two releases it is about. */
struct pass {
    const struct plan_input *in;
    struct plan_pool *pool;
    struct plan *out;
    const struct plan_release *want; /* should run; NULL: nothing */
    const struct plan_release *keep; /* serves until `want` is live; NULL: none */
    int want_state;                  /* as this pass leaves it */
};

void plan_release_contents(struct plan *p)
{
    free(p->actions);
    free(p->next);
    *p = (struct plan){0};
}

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

int64_t plan_quantity(const struct desired *d, const struct process *p)
{
    return process_type_is_phase(p->type) ? 0 : counts_get(&d->formation, p->type, p->quantity);
}

static void wake_at(struct pass *p, int64_t when)
{
    if (!p->out->wake || when < p->out->wake)
        p->out->wake = when;
}

static struct action *act(struct pass *p, enum action_type type, int unit)
{
    struct plan *o = p->out;
    if (o->n == o->size) {
        o->size = MAX(o->size * 2, (size_t)8);
        o->actions = xrealloc(o->actions, o->size * sizeof(*o->actions));
    }
    struct action *a = &o->actions[o->n++];
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

static void release_becomes(struct pass *p, const struct plan_release *r, int state,
                            const char *reason, int unit)
{
    struct action *a = NULL;
    for (size_t i = 0; i < p->out->n; i++) /* one write a key: the last word counts */
        if (p->out->actions[i].type == ACT_RELEASE &&
            p->out->actions[i].release == r->release->number)
            a = &p->out->actions[i];
    if (!a)
        a = act(p, ACT_RELEASE, unit);
    a->unit = unit;
    a->release = r->release->number;
    a->state = state;
    snprintf(a->reason, sizeof(a->reason), "%s", reason);
    if (r == p->want)
        p->want_state = state;
}

/* ---- which release ---- */

static bool undecided(int state)
{
    return state == RELEASE_PENDING || state == RELEASE_PREPARING || state == RELEASE_STARTING;
}

static const struct plan_release *newest_live(const struct plan_input *in, int64_t except)
{
    for (size_t i = in->n_releases; i-- > 0;)
        if (in->releases[i].state == RELEASE_LIVE && in->releases[i].release->number != except)
            return &in->releases[i];
    return NULL;
}

static void choose(struct pass *p)
{
    const struct plan_input *in = p->in;
    if (!in->desired)
        return;
    int64_t number = in->desired->release;
    for (size_t i = 0; i < in->n_releases; i++)
        if (in->releases[i].release->number == number)
            p->want = &in->releases[i];
    if (p->want && p->want->state != RELEASE_LIVE)
        p->keep = newest_live(in, number);
    if (!p->want || !(undecided(p->want->state) || p->want->state == RELEASE_LIVE)) {
        p->want = newest_live(in, number);
        p->keep = NULL;
    }
    p->want_state = p->want ? p->want->state : RELEASE_PENDING;
}

/* Releases that a later one overtook before they were live. */
static void supersede_overtaken(struct pass *p)
{
    for (size_t i = 0; p->in->desired && i < p->in->n_releases; i++) {
        const struct plan_release *r = &p->in->releases[i];
        if (r->release->number < p->in->desired->release && undecided(r->state))
            release_becomes(p, r, RELEASE_SUPERSEDED, "", -1);
    }
}

static void give_up(struct pass *p, const char *reason, int unit)
{
    release_becomes(p, p->want, RELEASE_FAILED, reason, unit);
    p->want = p->keep;
    p->keep = NULL;
    p->want_state = p->want ? p->want->state : RELEASE_FAILED;
}

/* ---- one instance ---- */

static bool active(int state)
{
    return state == INSTANCE_STARTING || state == INSTANCE_READY || state == INSTANCE_CRASHED;
}

static bool is(const struct unit *u, const struct process *of, int64_t release)
{
    return u->release == release && streq(u->type, of->type);
}

/* The state its record should have, before anything is decided about it. */
static int mirror(const struct unit *u)
{
    int s = u->recorded ? u->state : INSTANCE_STARTING;
    if (!active(s) || !u->alive)
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
    return !p->in->units[i].alive && active(p->out->next[i]);
}

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
    wake_at(p, p->in->now + 1000);
    return false;
}

static void start_again(struct pass *p, int i)
{
    const struct unit *u = &p->in->units[i];
    if (retry_time(u) > p->in->now) {
        wake_at(p, retry_time(u));
        return;
    }
    if (!may_start(p))
        return;
    act(p, ACT_START, i)->host = u->host ? u->host : pool_give(p->pool);
    p->out->next[i] = INSTANCE_STARTING;
}

static void start_now(struct pass *p, const struct process *of, int64_t index)
{
    struct action *a = act(p, ACT_START, -1);
    a->process = of->type;
    a->release = p->want->release->number;
    a->generation = p->in->desired->generation;
    a->index = index;
    a->host = pool_give(p->pool);
}

static void start_new(struct pass *p, const struct process *of, int64_t index)
{
    if (may_start(p))
        start_now(p, of, index);
}

static void stop(struct pass *p, int i)
{
    const struct unit *u = &p->in->units[i];
    if (!u->alive) {
        act(p, ACT_REMOVE, i);
    } else {
        if (!u->told_to_stop)
            act(p, ACT_STOP, i);
        p->out->next[i] = INSTANCE_STOPPING;
    }
}

/* One step on the way out. Only what may get requests has to be drained. */
static void retire(struct pass *p, int i)
{
    const struct unit *u = &p->in->units[i];
    int *next = &p->out->next[i];
    int64_t deadline = u->since + p->in->drain_ms;
    if (!p->in->desired) {
        stop(p, i);
    } else if (*next == INSTANCE_READY && u->alive && streq(u->type, "web")) {
        *next = INSTANCE_DRAINING;
        wake_at(p, p->in->now + p->in->drain_ms);
    } else if (*next == INSTANCE_DRAINING && u->alive && u->shim == SHIM_RUNNING &&
               p->in->now < deadline) {
        wake_at(p, deadline);
    } else {
        stop(p, i);
    }
}

/* ---- what fails a release ---- */

/* The time it has to get ready: what its checks wait for on purpose does not count. */
static int64_t boot_ms(const struct pass *p, const struct unit *u)
{
    int64_t ms = p->in->boot_ms;
    const struct process *of = NULL;
    for (size_t i = 0; i < p->in->n_releases; i++)
        if (p->in->releases[i].release->number == u->release)
            of = release_process(p->in->releases[i].release, u->type);
    for (size_t i = 0; of && i < of->checks.n; i++) {
        const struct check *c = list_at(&of->checks, struct check, i);
        if (c->type != CHECK_LIVENESS)
            ms += (c->initial_delay + c->uptime) * 1000;
    }
    return ms;
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

/* Whether a unit of a release that is not live yet ends its hopes, and why. */
static bool hopeless(struct pass *p, int i, char reason[REASON_MAX])
{
    const struct unit *u = &p->in->units[i];
    int64_t deadline = u->made + boot_ms(p, u);
    const char *why = u->reason ? u->reason : "";
    if (!active(p->out->next[i]))
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
                 (long long)u->index,
                 u->attempt_error ? u->attempt_error
                 : *why           ? why
                                  : "its supervisor died");
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

static bool failed(struct pass *p)
{
    if (!p->want || p->want_state == RELEASE_LIVE)
        return false;
    char reason[REASON_MAX];
    for (size_t i = 0; i < p->in->n_units; i++) {
        const struct unit *u = &p->in->units[i];
        if (u->release == p->want->release->number && !process_type_is_phase(u->type) &&
            hopeless(p, (int)i, reason)) {
            give_up(p, reason, (int)i);
            return true;
        }
    }
    return false;
}

/* ---- the release phase ---- */

/* Its one instance: started, awaited, judged. True once the release may start. */
static bool release_phase_done(struct pass *p, const struct process *of)
{
    int64_t number = p->want->release->number;
    int found = -1;
    for (size_t i = 0; i < p->in->n_units; i++)
        if (is(&p->in->units[i], of, number))
            found = (int)i;
    if (p->want_state == RELEASE_STARTING)
        return true;
    if (p->want_state == RELEASE_PENDING)
        release_becomes(p, p->want, RELEASE_PREPARING, "", -1);
    if (found < 0) {
        start_new(p, of, 1);
        return false;
    }
    const struct unit *u = &p->in->units[found];
    if (u->alive || !active(p->out->next[found]))
        return false;
    if (u->shim == SHIM_STOPPED && u->exit == 0)
        return true;
    char reason[REASON_MAX];
    if (u->shim == SHIM_STOPPED && u->exit > 0) {
        snprintf(reason, sizeof(reason), "release phase exited with status %lld%s%s%s",
                 (long long)u->exit, u->reason ? " (" : "", u->reason ? u->reason : "",
                 u->reason ? ")" : "");
        give_up(p, reason, found);
    } else if (u->attempts >= START_ATTEMPTS) {
        snprintf(reason, sizeof(reason), "release phase could not be started: %s",
                 u->attempt_error ? u->attempt_error
                 : u->reason      ? u->reason
                                  : "its supervisor died");
        give_up(p, reason, found);
    } else {
        start_again(p, found);
    }
    return false;
}

/* ---- all instances ---- */

static bool wanted(const struct pass *p, const struct unit *u)
{
    if (!p->want || u->release != p->want->release->number ||
        u->generation != p->in->desired->generation)
        return false;
    const struct process *of = release_process(p->want->release, u->type);
    return of && u->index <= plan_quantity(p->in->desired, of);
}

/* What serves while the wanted instances are not all ready: the release that is live, or what
 * another generation of the wanted one left running. */
static bool kept(const struct pass *p, int i)
{
    const struct unit *u = &p->in->units[i];
    if (process_type_is_phase(u->type) || !active(p->out->next[i]))
        return false;
    if (p->keep)
        return u->release == p->keep->release->number;
    return p->want && p->want_state == RELEASE_LIVE && u->release == p->want->release->number &&
           u->generation != p->in->desired->generation && u->alive;
}

static void restart_dead(struct pass *p, int i)
{
    const struct unit *u = &p->in->units[i];
    if (u->kicked_pid == u->pid)
        return;
    struct action *a = act(p, ACT_KICK, i);
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
        too_late(p, u, act(p, ACT_KICK, i)->reason);
}

/* Keeps a unit that should run running. */
static void sustain(struct pass *p, int i)
{
    const struct unit *u = &p->in->units[i];
    int *next = &p->out->next[i];
    if (!u->alive && !active(*next))
        act(p, ACT_REMOVE, i); /* it was on its way out; the next pass makes a new one */
    else if (lost(p, i))
        start_again(p, i);
    else if ((*next == INSTANCE_DRAINING || *next == INSTANCE_DRAINED) && u->shim == SHIM_RUNNING &&
             u->seen_pid == u->pid)
        *next = INSTANCE_READY; /* wanted again before it was gone */
    else if (*next == INSTANCE_STOPPING || *next == INSTANCE_STOPPED)
        stop(p, i);
    else if (u->probe == PROBE_DEAD)
        restart_dead(p, i);
    else if (p->want_state == RELEASE_LIVE || u->release != p->want->release->number)
        restart_late(p, i);
}

static int find(const struct pass *p, const struct process *of, int64_t index)
{
    for (size_t i = 0; i < p->in->n_units; i++) {
        const struct unit *u = &p->in->units[i];
        if (is(u, of, p->want->release->number) && u->index == index &&
            u->generation == p->in->desired->generation)
            return (int)i;
    }
    return -1;
}

/* Starts what is missing of the wanted release. True if all of it is ready. */
static bool complete(struct pass *p)
{
    bool ready = true;
    const struct list *processes = &p->want->release->processes;
    for (size_t t = 0; t < processes->n; t++) {
        const struct process *of = list_at(processes, struct process, t);
        int64_t n = plan_quantity(p->in->desired, of);
        for (int64_t index = 1; index <= n; index++) {
            int i = find(p, of, index);
            if (i < 0)
                start_new(p, of, index);
            if (i < 0 || p->out->next[i] != INSTANCE_READY || !p->in->units[i].alive)
                ready = false;
        }
    }
    return ready;
}

static void goes_live(struct pass *p)
{
    release_becomes(p, p->want, RELEASE_LIVE, "", -1);
    for (size_t i = 0; i < p->in->n_releases; i++)
        if (&p->in->releases[i] != p->want && p->in->releases[i].state == RELEASE_LIVE)
            release_becomes(p, &p->in->releases[i], RELEASE_SUPERSEDED, "", -1);
    /* In this pass or never: once it is live nobody would know whether it has run. */
    const struct process *post = release_process(p->want->release, POSTDEPLOY);
    if (post && find(p, post, 1) < 0)
        start_now(p, post, 1);
}

/* Runs to its end, as long as its release serves. */
static bool postdeploy_runs(const struct pass *p, const struct unit *u)
{
    return p->want && u->release == p->want->release->number && streq(u->type, POSTDEPLOY) &&
           u->alive;
}

static void prepare(struct pass *p, bool *ret_may_start)
{
    const struct process *phase = release_process(p->want->release, RELEASE_PHASE);
    *ret_may_start = true;
    if (p->want_state == RELEASE_LIVE)
        return;
    *ret_may_start = !phase || release_phase_done(p, phase);
    if (*ret_may_start && p->want_state != RELEASE_STARTING)
        release_becomes(p, p->want, RELEASE_STARTING, "", -1);
}

/* A release phase whose outcome the store doesn't have yet: what is left of it must stay, or it
 * would run again if we died now. */
static bool phase_undecided(const struct plan_input *in, const struct unit *u)
{
    if (!in->desired || u->release != in->desired->release || !streq(u->type, RELEASE_PHASE))
        return false;
    for (size_t i = 0; i < in->n_releases; i++)
        if (in->releases[i].release->number == u->release)
            return in->releases[i].state == RELEASE_PENDING ||
                   in->releases[i].state == RELEASE_PREPARING;
    return false;
}

void plan_app(const struct plan_input *in, struct plan_pool *pool, struct plan *ret)
{
    struct pass p = {.in = in, .pool = pool, .out = ret};
    ret->next = xcalloc(in->n_units, sizeof(*ret->next));
    for (size_t i = 0; i < in->n_units; i++)
        ret->next[i] = mirror(&in->units[i]);
    choose(&p);
    supersede_overtaken(&p);
    bool may = false, ready = false;
    if (p.want && !failed(&p))
        prepare(&p, &may);
    if (may)
        ready = complete(&p);
    if (ready && p.want_state != RELEASE_LIVE)
        goes_live(&p);
    for (size_t i = 0; i < in->n_units; i++) {
        const struct unit *u = &in->units[i];
        if (phase_undecided(in, u) || postdeploy_runs(&p, u))
            continue;
        if (wanted(&p, u) || (!ready && kept(&p, (int)i)))
            sustain(&p, (int)i);
        else
            retire(&p, (int)i);
    }
}
