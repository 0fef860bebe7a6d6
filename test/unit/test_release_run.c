/* release's and run's plan against each other, through what they write, on a machine on paper:
 * random deploys (good ones and bad ones), scaling, restarts, crashes, reboots, and either operator
 * killed before its writes are made. Each step keeps the invariants below; left alone, everything
 * comes to rest as it was asked for. DAVIT_SEED=n plays only that one and says what happens. */
#include "test_plan_fixture.h"

#include <stdlib.h>

#include "release/plan.h"
#include "run/plan.h"

enum { UNITS = 64, STEPS = 160, SEEDS = 500, REST = 200, BOOT = 10000000, DRAIN = 300000 };
enum fault { GOOD, PHASE_FAILS, NEVER_BOOTS, FAULTS };

struct world {
    uint64_t random;
    bool loud;
    int64_t now, pid;
    /* the store */
    struct desired desired;
    struct release releases[SCENE_MAX];
    int states[SCENE_MAX];
    size_t n_releases;
    struct rollout rollouts[SCENE_MAX]; /* by number - 1; release 0: none */
    struct rollout_status statuses[SCENE_MAX];
    bool has_status[SCENE_MAX];
    /* the machine, and run's memory of it */
    struct unit units[UNITS];
    size_t n_units;
    /* how it is meant to be, and what was counted */
    enum fault faults[SCENE_MAX];
    int troubles[SCENE_MAX]; /* crashes and failed starts: three of one instance fail it */
    int phases_run[SCENE_MAX], posts_started[SCENE_MAX];
    bool was_live[SCENE_MAX];
    int reboots;
};

static struct world *world; /* for messages */

#define check(ok, ...)                                                                             \
    do {                                                                                           \
        if (!(ok)) {                                                                               \
            print_error(__VA_ARGS__);                                                              \
            fail_msg(": seed %s", getenv("DAVIT_SEED_NOW"));                                       \
        }                                                                                          \
    } while (0)

static uint64_t dice(struct world *w, uint64_t n)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random % n;
}

static void tell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void tell(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (world->loud)
        vprint_message(fmt, ap);
    va_end(ap);
}

/* ---- what both see ---- */

static size_t rollouts_seen(struct world *w, struct rollout_seen *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n_releases; i++)
        if (w->rollouts[i].release)
            ret[n++] = (struct rollout_seen){&w->rollouts[i], &w->releases[i],
                                             w->has_status[i] ? &w->statuses[i] : NULL};
    return n;
}

/* ---- release ---- */

static void forget_rollout(struct world *w, size_t i)
{
    rollout_release(&w->rollouts[i]);
    rollout_status_release(&w->statuses[i]);
    w->has_status[i] = false;
}

static void commit_verdict(struct world *w, const struct verdict *v)
{
    size_t i = (size_t)v->release - 1;
    int before = w->states[i];
    tell("  v%ld %s%s%s\n", v->release, release_state_names[v->state], v->reason ? ": " : "",
         v->reason ? v->reason : "");
    bool ended = before == RELEASE_FAILED || before == RELEASE_SUPERSEDED ||
                 (before == RELEASE_LIVE && v->state != RELEASE_SUPERSEDED);
    check(!ended, "v%ld went from %s to %s", v->release, release_state_names[before],
          release_state_names[v->state]);
    check(v->state != RELEASE_LIVE || w->faults[i] != PHASE_FAILS,
          "v%ld is live though its release phase fails", v->release);
    w->states[i] = v->state;
    w->was_live[i] |= v->state == RELEASE_LIVE;
}

static const struct rollout *decided(const struct decision *d, size_t i)
{
    for (size_t k = 0; k < d->n_rollouts; k++)
        if (d->rollouts[k].release == (int64_t)i + 1)
            return &d->rollouts[k];
    return NULL;
}

static void commit_rollouts(struct world *w, const struct decision *d)
{
    for (size_t i = 0; i < w->n_releases; i++) {
        const struct rollout *next = decided(d, i);
        if (!next && w->rollouts[i].release)
            forget_rollout(w, i);
        if (!next || model_equal(&rollout_schema, next, &w->rollouts[i]))
            continue;
        rollout_release(&w->rollouts[i]);
        model_copy(&rollout_schema, next, &w->rollouts[i]);
        _cleanup_(buf_release) struct buf said = BUF_INIT;
        say_rollout(next, &said);
        tell("  rollout %s\n", said.ptr);
    }
}

static void release_pass(struct world *w, bool killed)
{
    struct rollout_seen rollouts[SCENE_MAX];
    struct release_seen releases[SCENE_MAX];
    for (size_t i = 0; i < w->n_releases; i++)
        releases[i] = (struct release_seen){&w->releases[i], w->states[i]};
    const struct release_input in = {.desired = &w->desired,
                                     .releases = releases,
                                     .n_releases = w->n_releases,
                                     .rollouts = rollouts,
                                     .n_rollouts = rollouts_seen(w, rollouts)};
    struct decision d = {0};
    release_decide(&in, &d);
    tell("release%s\n", killed ? ", killed" : "");
    for (size_t i = 0; !killed && i < d.n_verdicts; i++)
        commit_verdict(w, &d.verdicts[i]);
    if (!killed)
        commit_rollouts(w, &d);
    decision_release(&d);
}

/* ---- the machine ---- */

static struct unit *new_unit(struct world *w, const struct action *a)
{
    struct unit *u = &w->units[w->n_units++];
    assert_true(w->n_units <= UNITS);
    *u = (struct unit){.type = xstrdup(a->process),
                       .id = xasprintf("v%ld.g%ld.%ld", a->release, a->generation, a->index),
                       .release = a->release,
                       .generation = a->generation,
                       .index = a->index,
                       .since = w->now,
                       .made = w->now,
                       .exit = -1};
    return u;
}

static void drop(struct world *w, size_t i)
{
    free((char *)w->units[i].type);
    free((char *)w->units[i].id);
    memmove(&w->units[i], &w->units[i + 1], (--w->n_units - i) * sizeof(w->units[0]));
}

static void nothing_is_left(struct unit *u)
{
    u->alive = false;
    u->shim = SHIM_NONE;
    u->pid = u->restarts = 0;
    u->exit = -1;
    u->probe = PROBE_NONE;
}

static void count_start(struct world *w, const struct unit *u)
{
    size_t i = (size_t)u->release - 1;
    check(!rollout_phase_ended(w->has_status[i] ? &w->statuses[i] : NULL, u->type, NULL),
          "%s %s is run again", u->type, u->id);
    for (size_t k = 0; k < w->n_units; k++)
        check(&w->units[k] == u || !w->units[k].alive || !streq(w->units[k].type, u->type) ||
                  !process_type_is_phase(u->type) || w->units[k].release != u->release,
              "%s of v%ld runs twice", u->type, u->release);
    if (streq(u->type, POSTDEPLOY))
        check(w->posts_started[i]++ <= w->reboots, "postdeploy of v%ld was started again",
              u->release);
}

static void start_unit(struct world *w, struct unit *u)
{
    count_start(w, u);
    nothing_is_left(u);
    u->told_to_stop = false;
    u->kicked_pid = 0;
    u->attempts++;
    u->attempted = w->now;
    u->attempt_error = dice(w, 12) ? NULL : "no space left";
    u->alive = !u->attempt_error;
    u->shim = u->alive ? SHIM_STARTING : SHIM_NONE;
    w->troubles[u->release - 1] += !u->alive;
}

static void carry_out(struct world *w, const struct action *a)
{
    struct unit *u = a->unit >= 0 ? &w->units[a->unit] : NULL;
    static const char *const verbs[] = {"start", "stop", "kick", "remove"};
    tell("  %s %s v%ld.g%ld.%ld\n", verbs[a->type], a->process, a->release, a->generation,
         a->index);
    switch (a->type) {
    case ACT_START: start_unit(w, u ? u : new_unit(w, a)); break;
    case ACT_STOP:
        u->told_to_stop = true;
        u->shim = SHIM_STOPPING;
        break;
    case ACT_KICK:
        u->kicked_pid = u->pid;
        u->shim = SHIM_STARTING;
        u->pid = 0;
        u->probe = PROBE_NONE;
        u->restarts++;
        break;
    case ACT_REMOVE: nothing_is_left(u); break;
    }
}

/* ---- run ---- */

static bool may(const char *who, int from, int to)
{
    for (const struct transition *t = instance_schema.transitions; t->who; t++)
        if (t->from == from && t->to == to && streq(t->who, who))
            return true;
    return from == to;
}

static bool serves(const struct unit *u)
{
    return streq(u->type, "web") && u->alive && u->recorded && u->state == INSTANCE_READY &&
           u->shim == SHIM_RUNNING && u->probe == PROBE_READY;
}

/* The release that should serve: live, with web instances asked for. */
static const struct rollout *serving_rollout(const struct world *w)
{
    for (size_t i = 0; i < w->n_releases; i++)
        if (w->rollouts[i].release && w->rollouts[i].phase == ROLLOUT_LIVE &&
            counts_get(&w->rollouts[i].processes, "web", 0))
            return &w->rollouts[i];
    return NULL;
}

/* Of two that serve for the same app, a pass never lets go of both: what the live rollout asks for,
 * what another generation of it left, what was live before it. */
static void check_service(struct world *w, const struct plan *p)
{
    const struct rollout *live = serving_rollout(w);
    size_t before = 0, after = 0;
    for (size_t i = 0; live && i < w->n_units; i++) {
        const struct unit *u = &w->units[i];
        bool scaled_down = u->release == live->release && u->generation == live->generation &&
                           u->index > counts_get(&live->processes, "web", 0);
        if (!streq(u->type, "web") || u->release > live->release || scaled_down)
            continue;
        before += serves(u);
        after += u->alive && p->next[i] == INSTANCE_READY;
    }
    check(!before || after, "nothing serves any more, %zu did", before);
}

static void commit_units(struct world *w, const struct plan *p, size_t planned)
{
    for (size_t i = 0; i < w->n_units; i++) {
        struct unit *u = &w->units[i];
        int next = i < planned ? p->next[i] : INSTANCE_STARTING;
        check(!u->recorded || may("run", u->state, next), "run takes %s %s from %s to %s", u->type,
              u->id, instance_state_names[u->state], instance_state_names[next]);
        if (!u->recorded || u->state != next || u->seen_pid != u->pid)
            u->since = w->now;
        if (next == INSTANCE_READY)
            u->attempts = 0;
        u->state = next;
        u->seen_pid = u->pid;
        u->recorded = true;
    }
}

static void commit_statuses(struct world *w, const struct rollout_seen *seen, struct plan *p)
{
    for (size_t k = 0; k < p->n_rollouts; k++) {
        size_t i = (size_t)seen[k].rollout->release - 1;
        rollout_status_release(&w->statuses[i]);
        model_copy(&rollout_status_schema, &p->status[k], &w->statuses[i]);
        w->has_status[i] = true;
    }
}

/* Backwards, so that indexes stay. Killed before the record is deleted: it is there, and nothing
 * else. */
static void remove_units(struct world *w, const struct plan *p, bool killed)
{
    for (size_t i = w->n_units; i-- > 0;)
        for (size_t k = 0; k < p->n; k++)
            if (p->actions[k].type == ACT_REMOVE && p->actions[k].unit == (int)i &&
                !(killed && w->units[i].recorded)) {
                drop(w, i);
                break;
            }
}

static void run_forgets(struct world *w)
{
    for (size_t i = 0; i < w->n_units; i++) {
        struct unit *u = &w->units[i];
        u->told_to_stop = false;
        u->attempts = 0;
        u->attempt_error = NULL;
        u->kicked_pid = 0;
        u->probe = u->probe == PROBE_NONE ? PROBE_NONE : PROBE_WAITING;
    }
}

static void run_pass(struct world *w, bool killed)
{
    struct rollout_seen rollouts[SCENE_MAX];
    static struct plan_pool pool;
    pool = (struct plan_pool){.next = 2, .starts = STARTS_AT_ONCE};
    const struct plan_input in = {.app = "shop",
                                  .rollouts = rollouts,
                                  .n_rollouts = rollouts_seen(w, rollouts),
                                  .units = w->units,
                                  .n_units = w->n_units,
                                  .now = w->now,
                                  .boot_ms = BOOT,
                                  .drain_ms = DRAIN};
    struct plan p = {0};
    size_t planned = w->n_units;
    tell("run%s\n", killed ? ", killed" : "");
    plan_app(&in, &pool, &p);
    check_service(w, &p);
    for (size_t i = 0; i < p.n; i++)
        carry_out(w, &p.actions[i]);
    if (killed) {
        run_forgets(w);
    } else {
        commit_units(w, &p, planned);
        commit_statuses(w, rollouts, &p);
    }
    remove_units(w, &p, killed);
    plan_release_contents(&p);
}

/* ---- what happens by itself ---- */

static void end_phase(struct world *w, struct unit *u)
{
    bool fails = streq(u->type, RELEASE_PHASE) && w->faults[u->release - 1] == PHASE_FAILS;
    u->alive = false;
    u->shim = SHIM_STOPPED;
    u->pid = 0;
    u->exit = fails ? 3 : 0;
    if (streq(u->type, RELEASE_PHASE)) {
        w->phases_run[u->release - 1]++;
        check(w->phases_run[u->release - 1] <= 1 + w->reboots,
              "the release phase of v%ld ran %d times", u->release, w->phases_run[u->release - 1]);
    }
}

static void crash(struct world *w, struct unit *u)
{
    tell("%s %s crashes\n", u->type, u->id);
    u->shim = SHIM_CRASHED;
    u->pid = 0;
    u->probe = PROBE_NONE;
    u->exit = 1;
    w->troubles[u->release - 1]++;
}

/* One step of its life. */
static void live_on(struct world *w, struct unit *u)
{
    if (!u->alive)
        return;
    switch (u->shim) {
    case SHIM_STARTING:
        u->shim = SHIM_RUNNING;
        u->pid = ++w->pid;
        u->probe = PROBE_WAITING;
        break;
    case SHIM_RUNNING:
        if (process_type_is_phase(u->type))
            end_phase(w, u);
        else if (w->faults[u->release - 1] == NEVER_BOOTS)
            crash(w, u);
        else
            u->probe = PROBE_READY;
        break;
    case SHIM_CRASHED:
        u->shim = SHIM_STARTING;
        u->restarts++;
        break;
    case SHIM_STOPPING:
        u->alive = false;
        u->shim = SHIM_STOPPED;
        u->pid = 0;
        u->probe = PROBE_NONE;
        u->exit = 143;
        break;
    case SHIM_NONE:
    case SHIM_STOPPED: break;
    }
}

static void drain(struct unit *u)
{
    if (!u->recorded || u->state != INSTANCE_DRAINING)
        return;
    check(may("gateway", u->state, INSTANCE_DRAINED), "gateway may not drain");
    u->state = INSTANCE_DRAINED;
}

static void reboot(struct world *w)
{
    tell("reboot\n");
    w->reboots++;
    run_forgets(w);
    for (size_t i = w->n_units; i-- > 0;) {
        nothing_is_left(&w->units[i]);
        if (!w->units[i].recorded)
            drop(w, i);
    }
}

/* ---- what people do ---- */

static void deploy(struct world *w)
{
    static const char *const processes[] = {
        "web=1", "web=2 release=0", "web=1 worker=1 postdeploy=0", "web=1 release=0 postdeploy=0"};
    if (w->n_releases == SCENE_MAX)
        return;
    size_t i = w->n_releases++;
    w->releases[i].number = (int64_t)i + 1;
    parse_processes(processes[dice(w, ARRAY_LEN(processes))], &w->releases[i]);
    w->faults[i] = dice(w, 3) ? GOOD : (enum fault)dice(w, FAULTS);
    if (w->faults[i] == PHASE_FAILS && !release_process(&w->releases[i], RELEASE_PHASE))
        w->faults[i] = GOOD;
    w->desired.release = (int64_t)i + 1;
    tell("deploy v%zu, fault %d\n", i + 1, (int)w->faults[i]);
}

static void scale(struct world *w)
{
    counts_set(&w->desired.formation, "web", (int64_t)dice(w, 4));
    tell("web=%ld\n", counts_get(&w->desired.formation, "web", 0));
}

static void something_happens(struct world *w)
{
    struct unit *u = w->n_units ? &w->units[dice(w, w->n_units)] : NULL;
    w->now += (int64_t)dice(w, 2000);
    switch (dice(w, 32)) {
    case 0: deploy(w); break;
    case 1: scale(w); break;
    case 2: tell("restart g%ld\n", ++w->desired.generation); break;
    case 3: reboot(w); break;
    case 4:
        if (u && u->alive && u->shim == SHIM_RUNNING && !process_type_is_phase(u->type))
            crash(w, u);
        break;
    case 5: run_pass(w, true); break;
    case 6: release_pass(w, true); break;
    case 7 ... 12: run_pass(w, false); break;
    case 13 ... 17: release_pass(w, false); break;
    case 18 ... 20:
        if (u)
            drain(u);
        break;
    default:
        if (u)
            live_on(w, u);
    }
}

/* ---- left alone ---- */

static void come_to_rest(struct world *w)
{
    tell("--- left alone\n");
    for (int round = 0; round < REST; round++) {
        w->now += 5000;
        release_pass(w, false);
        run_pass(w, false);
        for (size_t i = 0; i < w->n_units; i++) {
            live_on(w, &w->units[i]);
            drain(&w->units[i]);
        }
    }
}

static void check_desired(const struct world *w)
{
    size_t i = (size_t)w->desired.release - 1;
    int state = w->states[i];
    check(state == RELEASE_LIVE || state == RELEASE_FAILED, "v%zu is %s", i + 1,
          release_state_names[state]);
    bool excused = w->faults[i] != GOOD || w->troubles[i] >= 3;
    check(state == RELEASE_LIVE || excused, "v%zu failed, and why?", i + 1);
}

static void check_rest(const struct world *w)
{
    size_t live = SCENE_MAX, ready = 0;
    for (size_t i = 0; i < w->n_releases; i++) {
        check(w->states[i] != RELEASE_LIVE || live == SCENE_MAX, "two releases are live");
        live = w->states[i] == RELEASE_LIVE ? i : live;
    }
    struct counts wanted = {0};
    int64_t n = 0;
    if (live < SCENE_MAX)
        formation_of(&w->desired, &w->releases[live], &wanted);
    for (size_t k = 0; k < wanted.n; k++)
        n += wanted.items[k].n;
    /* One that went live with nothing to run keeps each generation that crashes. */
    bool crashes = live < SCENE_MAX && w->faults[live] == NEVER_BOOTS;
    for (size_t k = 0; !crashes && k < w->n_units; k++) {
        const struct unit *u = &w->units[k];
        check(live < SCENE_MAX && u->release == (int64_t)live + 1 &&
                  u->generation == w->desired.generation,
              "%s %s is still there", u->type, u->id);
        ready += u->state == INSTANCE_READY;
    }
    check(crashes || (w->n_units == (size_t)n && ready == w->n_units),
          "%zu instances, %zu ready, %ld wanted", w->n_units, ready, n);
    counts_release(&wanted);
}

static void play(uint64_t seed, bool loud)
{
    struct world w = {.random = seed * 2654435761u + 88172645463325252u, .loud = loud, .now = 1000};
    char name[24];
    snprintf(name, sizeof(name), "%lu", seed);
    setenv("DAVIT_SEED_NOW", name, 1);
    world = &w;
    deploy(&w);
    for (int i = 0; i < STEPS; i++)
        something_happens(&w);
    come_to_rest(&w);
    check_desired(&w);
    check_rest(&w);
    while (w.n_units)
        drop(&w, w.n_units - 1);
    for (size_t i = 0; i < w.n_releases; i++) {
        forget_rollout(&w, i);
        release_release(&w.releases[i]);
    }
    desired_release(&w.desired);
}

static void whatever_happens_the_invariants_hold_and_it_comes_to_rest(void **state)
{
    (void)state;
    const char *seed = getenv("DAVIT_SEED");
    if (seed)
        play(strtoull(seed, NULL, 10), true);
    for (uint64_t i = 1; !seed && i <= SEEDS; i++)
        play(i, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_happens_the_invariants_hold_and_it_comes_to_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
