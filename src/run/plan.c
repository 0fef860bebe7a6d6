#include "run/plan.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/str.h"
#include "run/plan_unit.h"

void plan_release_contents(struct plan *p)
{
    free(p->actions);
    free(p->next);
    *p = (struct plan){0};
}

int64_t plan_quantity(const struct desired *d, const struct process *p)
{
    return process_type_is_phase(p->type) ? 0 : counts_get(&d->formation, p->type, p->quantity);
}

static void release_becomes(struct pass *p, const struct release_seen *r, int state,
                            const char *reason, int unit)
{
    struct action *a = NULL;
    for (size_t i = 0; i < p->out->n; i++) /* one write a key: the last word counts */
        if (p->out->actions[i].type == ACT_RELEASE &&
            p->out->actions[i].release == r->release->number)
            a = &p->out->actions[i];
    if (!a)
        a = pass_act(p, ACT_RELEASE, unit);
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

static const struct release_seen *at(const struct plan_input *in, int i)
{
    return i < 0 ? NULL : &in->releases[i];
}

static void choose(struct pass *p)
{
    const struct plan_input *in = p->in;
    if (!in->desired)
        return;
    p->want = at(in, release_wanted(in->releases, in->n_releases, in->desired));
    if (p->want && p->want->state != RELEASE_LIVE)
        p->keep = at(in, release_newest_live(in->releases, in->n_releases, in->desired->release));
    p->want_state = p->want ? p->want->state : RELEASE_PENDING;
}

/* Releases that a later one overtook before they were live. */
static void supersede_overtaken(struct pass *p)
{
    for (size_t i = 0; p->in->desired && i < p->in->n_releases; i++) {
        const struct release_seen *r = &p->in->releases[i];
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

/* ---- what fails a release ---- */

static bool failed(struct pass *p)
{
    if (!p->want || p->want_state == RELEASE_LIVE)
        return false;
    char reason[REASON_MAX];
    for (size_t i = 0; i < p->in->n_units; i++) {
        const struct unit *u = &p->in->units[i];
        if (u->release == p->want->release->number && !process_type_is_phase(u->type) &&
            unit_hopeless(p, (int)i, reason)) {
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
        if (unit_is(&p->in->units[i], of, number))
            found = (int)i;
    if (p->want_state == RELEASE_STARTING)
        return true;
    if (p->want_state == RELEASE_PENDING)
        release_becomes(p, p->want, RELEASE_PREPARING, "", -1);
    if (found < 0) {
        unit_start_new(p, of, 1);
        return false;
    }
    const struct unit *u = &p->in->units[found];
    if (u->alive || !unit_active(p->out->next[found]))
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
        unit_start_again(p, found);
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
    if (process_type_is_phase(u->type) || !unit_active(p->out->next[i]))
        return false;
    if (p->keep)
        return u->release == p->keep->release->number;
    return p->want && p->want_state == RELEASE_LIVE && u->release == p->want->release->number &&
           u->generation != p->in->desired->generation && u->alive;
}

static int find(const struct pass *p, const struct process *of, int64_t index)
{
    for (size_t i = 0; i < p->in->n_units; i++) {
        const struct unit *u = &p->in->units[i];
        if (unit_is(u, of, p->want->release->number) && u->index == index &&
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
                unit_start_new(p, of, index);
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
        unit_start_now(p, post, 1);
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
        ret->next[i] = unit_state(&in->units[i]);
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
            unit_sustain(&p, (int)i);
        else
            unit_retire(&p, (int)i);
    }
}
