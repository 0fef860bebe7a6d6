#include "release/plan.h"

#include "base/array.h"
#include "base/mem.h"

void decision_release(struct decision *d)
{
    for (size_t i = 0; i < d->n_rollouts; i++)
        rollout_release(&d->rollouts[i]);
    free(d->verdicts);
    *d = (struct decision){0};
}

/* ---- what there is ---- */

static const struct release_seen *at(const struct release_input *in, int i)
{
    return i < 0 ? NULL : &in->releases[i];
}

static const struct rollout_seen *rollout_of(const struct release_input *in, int64_t release)
{
    for (size_t i = 0; i < in->n_rollouts; i++)
        if (in->rollouts[i].rollout->release == release)
            return &in->rollouts[i];
    return NULL;
}

static bool undecided(int state)
{
    return state == RELEASE_PENDING || state == RELEASE_PREPARING || state == RELEASE_STARTING;
}

/* ---- what comes out ---- */

static void judge(struct decision *d, const struct release_seen *r, int state,
                  const struct rollout_seen *failed)
{
    if (r->state == state)
        return;
    *array_add(d->verdicts, d->n_verdicts) =
        (struct verdict){.release = r->release->number,
                         .state = state,
                         .reason = failed ? rollout_failure(failed) : NULL,
                         .from = failed ? failed->status : NULL};
}

static struct rollout *add(struct decision *d, int64_t release, int phase)
{
    struct rollout *r = &d->rollouts[d->n_rollouts++];
    *r = (struct rollout){.release = release, .phase = phase};
    return r;
}

static struct rollout *add_whole(struct decision *d, const struct release_input *in,
                                 const struct release_seen *of, int phase)
{
    struct rollout *r = add(d, of->release->number, phase);
    r->generation = in->desired->generation;
    formation_of(in->desired, of->release, &r->processes);
    return r;
}

/* As it is, if it is there in that phase. */
static bool add_unchanged(struct decision *d, const struct release_input *in, int64_t release,
                          int phase)
{
    const struct rollout_seen *seen = rollout_of(in, release);
    if (!seen || seen->rollout->phase != phase)
        return false;
    model_copy(&rollout_schema, seen->rollout, &d->rollouts[d->n_rollouts++]);
    return true;
}

/* ---- the release that is live ---- */

static void go_on(struct decision *d, const struct release_input *in, const struct release_seen *r)
{
    const struct rollout_seen *seen = rollout_of(in, r->release->number);
    struct rollout *next = add_whole(d, in, r, ROLLOUT_LIVE);
    if (seen && counts_get(&seen->rollout->processes, POSTDEPLOY, 0))
        counts_set(&next->processes, POSTDEPLOY, 1);
}

/* It serves until the wanted one does. */
static void keep(struct decision *d, const struct release_input *in, const struct release_seen *r)
{
    if (!add_unchanged(d, in, r->release->number, ROLLOUT_LIVE))
        add_whole(d, in, r, ROLLOUT_LIVE);
}

/* ---- the one that is to be ---- */

static bool would_be_complete(const struct release_input *in, const struct release_seen *r,
                              const struct rollout_seen *seen)
{
    struct decision d = {0};
    const struct rollout_seen next = {add_whole(&d, in, r, ROLLOUT_STARTING), NULL,
                                      seen ? seen->status : NULL};
    bool complete = rollout_complete(&next);
    decision_release(&d);
    return complete;
}

/* How far it has come. */
static int progress(const struct release_input *in, const struct release_seen *r,
                    const struct rollout_seen *seen)
{
    int state = r->state;
    int64_t status;
    if (seen && rollout_failure(seen))
        return RELEASE_FAILED;
    if (state == RELEASE_PENDING)
        state = release_process(r->release, RELEASE_PHASE) ? RELEASE_PREPARING : RELEASE_STARTING;
    if (state == RELEASE_PREPARING && seen &&
        rollout_phase_ended(seen->status, RELEASE_PHASE, &status) && status == 0)
        state = RELEASE_STARTING;
    if (state == RELEASE_STARTING && would_be_complete(in, r, seen))
        state = RELEASE_LIVE;
    return state;
}

static void go_live(struct decision *d, const struct release_input *in,
                    const struct release_seen *want)
{
    for (size_t i = 0; i < in->n_releases; i++)
        if (&in->releases[i] != want && in->releases[i].state == RELEASE_LIVE)
            judge(d, &in->releases[i], RELEASE_SUPERSEDED, NULL);
    struct rollout *r = add_whole(d, in, want, ROLLOUT_LIVE);
    if (release_process(want->release, POSTDEPLOY)) /* now or never */
        counts_set(&r->processes, POSTDEPLOY, 1);
}

static void prepare(struct decision *d, const struct release_input *in,
                    const struct release_seen *want)
{
    if (add_unchanged(d, in, want->release->number, ROLLOUT_PREPARING))
        return;
    struct rollout *r = add(d, want->release->number, ROLLOUT_PREPARING);
    r->generation = in->desired->generation;
    counts_set(&r->processes, RELEASE_PHASE, 1);
}

/* `live` (NULL: none is) serves meanwhile, and goes on if it fails. */
static void advance(struct decision *d, const struct release_input *in,
                    const struct release_seen *want, const struct release_seen *live)
{
    const struct rollout_seen *seen = rollout_of(in, want->release->number);
    int state = progress(in, want, seen);
    judge(d, want, state, state == RELEASE_FAILED ? seen : NULL);
    if (state == RELEASE_LIVE)
        return go_live(d, in, want);
    if (state == RELEASE_FAILED) {
        add(d, want->release->number, ROLLOUT_GOING);
        if (live)
            go_on(d, in, live);
        return;
    }
    if (live)
        keep(d, in, live);
    if (state == RELEASE_PREPARING)
        prepare(d, in, want);
    else
        add_whole(d, in, want, ROLLOUT_STARTING);
}

void release_decide(const struct release_input *in, struct decision *ret)
{
    int64_t desired = in->desired->release;
    const struct release_seen *want =
        at(in, release_wanted(in->releases, in->n_releases, in->desired));
    for (size_t i = 0; i < in->n_releases; i++) /* overtaken before they were live */
        if (in->releases[i].release->number < desired && undecided(in->releases[i].state))
            judge(ret, &in->releases[i], RELEASE_SUPERSEDED, NULL);
    if (want && want->state != RELEASE_LIVE)
        return advance(ret, in, want,
                       at(in, release_newest_live(in->releases, in->n_releases, desired)));
    if (want)
        go_on(ret, in, want);
    if (desired && (!want || want->release->number != desired))
        add(ret, desired, ROLLOUT_GOING);
}
