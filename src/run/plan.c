#include "run/plan.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/str.h"
#include "run/plan_unit.h"

void plan_release_contents(struct plan *p)
{
    for (size_t i = 0; i < p->n_rollouts; i++)
        rollout_status_release(&p->status[i]);
    free(p->status);
    free(p->failed);
    free(p->actions);
    free(p->next);
    *p = (struct plan){0};
}

/* ---- which units ---- */

static bool is_ready(const struct pass *p, int i)
{
    return p->out->next[i] == INSTANCE_READY && p->in->units[i].alive;
}

static bool asked_for(const struct rollout *r, const struct unit *u)
{
    return u->release == r->release && rollout_asks_for(r, u->type, u->generation, u->index);
}

static int find(const struct pass *p, const struct rollout *r, const char *type, int64_t index)
{
    for (size_t i = 0; i < p->in->n_units; i++) {
        const struct unit *u = &p->in->units[i];
        if (u->index == index && streq(u->type, type) && asked_for(r, u))
            return (int)i;
    }
    return -1;
}

/* ---- what fails a rollout ---- */

static void fail(struct pass *p, size_t r, int unit, const char *reason)
{
    rollout_status_fail(&p->out->status[r], reason);
    p->out->failed[r] = unit;
}

/* Whether it has failed, now or before. */
static bool failed(struct pass *p, size_t r)
{
    const struct rollout_seen *seen = &p->in->rollouts[r];
    char reason[REASON_MAX];
    if (seen->rollout->phase != ROLLOUT_STARTING)
        return p->out->status[r].failed;
    for (size_t i = 0; !p->out->status[r].failed && i < p->in->n_units; i++)
        if (asked_for(seen->rollout, &p->in->units[i]) && unit_hopeless(p, (int)i, reason))
            fail(p, r, (int)i, reason);
    return p->out->status[r].failed;
}

/* ---- what runs once ---- */

static void ended(struct pass *p, size_t r, int i)
{
    const struct unit *u = &p->in->units[i];
    char reason[REASON_MAX];
    counts_set(&p->out->status[r].exits, u->type, u->exit);
    if (u->exit <= 0 || !streq(u->type, RELEASE_PHASE))
        return;
    snprintf(reason, sizeof(reason), "release phase exited with status %lld%s%s%s",
             (long long)u->exit, u->reason ? " (" : "", u->reason ? u->reason : "",
             u->reason ? ")" : "");
    fail(p, r, i, reason);
}

/* Its one instance: started, awaited, judged. One that was lost is run again if a release waits for
 * it; postdeploy may have done all it has to, so it is not. */
static void run_phase(struct pass *p, size_t r, const char *type)
{
    const struct rollout *rollout = p->in->rollouts[r].rollout;
    if (rollout_phase_ended(&p->out->status[r], type, NULL))
        return;
    int i = find(p, rollout, type, 1);
    if (i < 0)
        return unit_start_new(p, rollout, type, 1);
    const struct unit *u = &p->in->units[i];
    char reason[REASON_MAX];
    if (u->alive || !unit_active(p->out->next[i]))
        return;
    if ((u->shim == SHIM_STOPPED && u->exit >= 0) || !streq(type, RELEASE_PHASE)) {
        ended(p, r, i);
    } else if (u->attempts >= START_ATTEMPTS) {
        snprintf(reason, sizeof(reason), "release phase could not be started: %s",
                 unit_start_error(u));
        fail(p, r, i, reason);
    } else {
        unit_start_again(p, i);
    }
}

/* ---- all instances ---- */

static void why_not(struct pass *p, size_t r, int i)
{
    const struct unit *u = &p->in->units[i];
    char why[REASON_MAX] = "";
    if (u->attempt_error)
        snprintf(why, sizeof(why), "could not be started: %s", u->attempt_error);
    else if (p->out->next[i] == INSTANCE_CRASHED && u->exit >= 0)
        snprintf(why, sizeof(why), "exited with status %lld", (long long)u->exit);
    else if (u->probe_reason && u->probe != PROBE_WAITING)
        snprintf(why, sizeof(why), "%s", u->probe_reason);
    if (*why)
        rollout_status_waits(&p->out->status[r], u->type, why);
}

/* Starts what is missing. */
static void run_type(struct pass *p, size_t r, const char *type, int64_t n)
{
    for (int64_t index = 1; index <= n; index++) {
        int i = find(p, p->in->rollouts[r].rollout, type, index);
        if (i < 0)
            unit_start_new(p, p->in->rollouts[r].rollout, type, index);
        else if (is_ready(p, i))
            rollout_status_ready(&p->out->status[r], type);
        else
            why_not(p, r, i);
    }
}

static void realise(struct pass *p, size_t r)
{
    const struct rollout_seen *seen = &p->in->rollouts[r];
    const struct counts *processes = &seen->rollout->processes;
    if (failed(p, r))
        return;
    for (size_t i = 0; i < processes->n; i++) {
        if (process_type_is_phase(processes->items[i].name))
            run_phase(p, r, processes->items[i].name);
        else
            run_type(p, r, processes->items[i].name, processes->items[i].n);
    }
}

/* ---- every unit ---- */

/* How a phase ended is in the store, or nobody waits for it any more: until then what is left of it
 * must stay, or it would run again if we died now. */
static bool phase_settled(const struct rollout_seen *r, const struct unit *u)
{
    return !asked_for(r->rollout, u) || rollout_phase_ended(r->status, u->type, NULL);
}

/* What another generation left running serves until all of the wanted one is ready. */
static bool kept(const struct pass *p, size_t r, int i)
{
    const struct unit *u = &p->in->units[i];
    const struct rollout_seen now = {p->in->rollouts[r].rollout, NULL, &p->out->status[r]};
    return now.rollout->phase == ROLLOUT_LIVE && u->generation != now.rollout->generation &&
           u->alive && unit_active(p->out->next[i]) && !rollout_complete(&now);
}

static void settle(struct pass *p, size_t r, int i)
{
    const struct rollout_seen *seen = &p->in->rollouts[r];
    const struct unit *u = &p->in->units[i];
    bool live = seen->rollout->phase == ROLLOUT_LIVE;
    if (process_type_is_phase(u->type)) {
        if (phase_settled(seen, u) && !(live && u->alive))
            unit_retire(p, i);
    } else if (asked_for(seen->rollout, u) || kept(p, r, i)) {
        if (!p->out->status[r].failed)
            unit_sustain(p, i, live);
    } else {
        unit_retire(p, i);
    }
}

/* Not there, or (a later watch brings it) not known in full: its instances wait. */
static bool known(const struct plan_input *in, size_t r)
{
    return in->rollouts[r].release || in->rollouts[r].rollout->phase == ROLLOUT_GOING;
}

/* Its release was live until just now, and the next one isn't ready any more: a crash between what
 * made it live and now. */
static bool still_needed(const struct pass *p, int i)
{
    const struct plan_input *in = p->in;
    for (size_t r = 0; r < in->n_rollouts; r++) {
        const struct rollout_seen now = {in->rollouts[r].rollout, NULL, &p->out->status[r]};
        if (now.rollout->phase == ROLLOUT_LIVE && now.rollout->release > in->units[i].release)
            return is_ready(p, i) && !rollout_complete(&now);
    }
    return false;
}

static void settle_unit(struct pass *p, int i)
{
    const struct plan_input *in = p->in;
    for (size_t r = 0; r < in->n_rollouts; r++) {
        if (in->rollouts[r].rollout->release != in->units[i].release)
            continue;
        if (known(in, r))
            settle(p, r, i);
        return;
    }
    /* An app without any rollout wasn't looked at by `release` yet. */
    bool waits = !in->n_rollouts && unit_active(p->out->next[i]);
    if (in->gone || !(waits || still_needed(p, i)))
        unit_retire(p, i);
}

void plan_app(const struct plan_input *in, struct plan_pool *pool, struct plan *ret)
{
    struct pass p = {.in = in, .pool = pool, .out = ret};
    ret->next = xcalloc(in->n_units, sizeof(*ret->next));
    ret->status = xcalloc(in->n_rollouts, sizeof(*ret->status));
    ret->failed = xcalloc(in->n_rollouts, sizeof(*ret->failed));
    ret->n_rollouts = in->n_rollouts;
    for (size_t i = 0; i < in->n_units; i++)
        ret->next[i] = unit_state(&in->units[i]);
    for (size_t r = 0; r < in->n_rollouts; r++) {
        ret->failed[r] = -1;
        rollout_status_begin(&in->rollouts[r], &ret->status[r]);
        if (known(in, r))
            realise(&p, r);
    }
    for (size_t i = 0; i < in->n_units; i++)
        settle_unit(&p, (int)i);
}
