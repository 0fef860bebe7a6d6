/* run's plan as a table: what its rollouts ask for, what is → what is done (test_plan_fixture.h has
 * the words for rollouts and processes).
 *
 *   units     "web v1.g0.1 ready, …"   recorded, its shim alive, its process running unless a word
 *                                      says otherwise (see unit_word)
 *   expect    what plan does, in order, then the records that change, then what is new in the
 *             statuses of rollouts
 */
#include "test_plan_fixture.h"

#include "run/plan.h"

enum { NOW = 1000000, BOOT = 60000, DRAIN = 300000 };

struct scene {
    const char *what, *rollouts, *processes, *units, *expect; /* rollouts NULL: the app is gone */
};

/* ---- words to units ---- */

/* `dead` no shim · `unrecorded` not in the store · `crashed|booting|stopping|ended` what the shim
 * says · `told` had its SIGTERM · `kicked` was told to restart · `restarted` another pid than
 * recorded · `stuck|late|failing|deadly|up` what the probe says · exits=N exit=N made=-MS since=-MS
 * attempts=N attempted=-MS */
static void unit_word(struct unit *u, struct str w)
{
    struct str value = w, name = str_cut(&value, '=');
    if (word_is(name, "dead"))
        u->alive = false;
    else if (word_is(name, "unrecorded"))
        u->recorded = false;
    else if (word_is(name, "crashed"))
        u->shim = SHIM_CRASHED, u->pid = 0, u->probe = PROBE_NONE;
    else if (word_is(name, "booting"))
        u->shim = SHIM_STARTING, u->pid = 0, u->probe = PROBE_NONE;
    else if (word_is(name, "stopping"))
        u->shim = SHIM_STOPPING;
    else if (word_is(name, "ended"))
        u->shim = SHIM_STOPPED, u->alive = false, u->pid = 0;
    else if (word_is(name, "told"))
        u->told_to_stop = true;
    else if (word_is(name, "kicked"))
        u->kicked_pid = u->pid;
    else if (word_is(name, "restarted"))
        u->pid++;
    else if (word_is(name, "stuck"))
        u->probe = PROBE_STUCK, u->probe_reason = "listens on port 3000, but PORT is 5000";
    else if (word_is(name, "late"))
        u->probe_reason = "did not listen on port 5000";
    else if (word_is(name, "failing"))
        u->probe = PROBE_FAILING;
    else if (word_is(name, "deadly"))
        u->probe = PROBE_DEAD, u->probe_reason = "answered GET /live with 500";
    else if (word_is(name, "up"))
        u->probe = PROBE_READY;
    else if (word_is(name, "oom"))
        u->reason = "out of memory";
    else if (word_is(name, "exits"))
        u->restarts = word_number(value) - (u->shim == SHIM_CRASHED);
    else if (word_is(name, "exit"))
        u->exit = word_number(value);
    else if (word_is(name, "made"))
        u->made = NOW + word_number(value);
    else if (word_is(name, "since"))
        u->since = NOW + word_number(value);
    else if (word_is(name, "attempts"))
        u->attempts = (int)word_number(value), u->attempted = NOW;
    else if (word_is(name, "attempted"))
        u->attempted = NOW + word_number(value);
    else if (word_is(name, "nospace"))
        u->attempt_error = "no space left";
    else
        fail_msg("unknown word '%.*s'", (int)w.len, w.ptr);
}

static size_t parse_units(const char *words, struct unit *ret)
{
    struct str rest = str_of(words), one;
    size_t n = 0;
    while ((one = next_word(&rest, ',')).len) {
        struct unit *u = &ret[n++];
        *u = (struct unit){.recorded = true,
                           .since = NOW - 100,
                           .made = NOW - 100,
                           .alive = true,
                           .shim = SHIM_RUNNING,
                           .exit = -1};
        u->type = word_text(next_word(&one, ' '));
        u->id = word_text(next_word(&one, ' '));
        assert_int_equal(sscanf(u->id, "v%ld.g%ld.%ld", &u->release, &u->generation, &u->index), 3);
        u->state = state_named(next_word(&one, ' '), instance_state_names);
        u->pid = u->seen_pid = 100 + (int64_t)n;
        u->probe = u->state == INSTANCE_READY ? PROBE_READY : PROBE_WAITING;
        struct str w;
        while ((w = next_word(&one, ' ')).len)
            unit_word(u, w);
    }
    return n;
}

/* ---- what came out, in words ---- */

static void say_action(const struct action *a, struct buf *b)
{
    static const char *const verbs[] = {"start", "stop", "kick", "remove"};
    if (b->len)
        buf_adds(b, ", ");
    buf_addf(b, "%s%s %s v%ld.g%ld.%ld", verbs[a->type],
             a->type == ACT_START && a->unit < 0 ? " new" : "", a->process, a->release,
             a->generation, a->index);
    if (*a->reason)
        buf_addf(b, ": %s", a->reason);
}

static bool removed(const struct plan *p, int unit)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->actions[i].type == ACT_REMOVE && p->actions[i].unit == unit)
            return true;
    return false;
}

static void say_phases(const struct rollout_seen *seen, const struct rollout_status *now,
                       struct buf *b)
{
    for (size_t i = 0; i < now->exits.n; i++)
        if (!rollout_phase_ended(seen->status, now->exits.items[i].name, NULL))
            buf_addf(b, "%sv%ld %s ended with %ld", b->len ? ", " : "", seen->rollout->release,
                     now->exits.items[i].name, now->exits.items[i].n);
}

/* What the status says that it did not say before. */
static void say_status(const struct rollout_seen *seen, const struct rollout_status *now,
                       struct buf *b)
{
    const struct rollout_seen after = {seen->rollout, seen->release, now};
    say_phases(seen, now, b);
    if (now->failed && !rollout_failure(seen))
        buf_addf(b, "%sv%ld failed: %s", b->len ? ", " : "", seen->rollout->release, now->failed);
    if (seen->rollout->phase == ROLLOUT_STARTING && rollout_complete(&after))
        buf_addf(b, "%sv%ld ready", b->len ? ", " : "", seen->rollout->release);
}

static void say(const struct plan *p, const struct plan_input *in, struct buf *b)
{
    for (size_t i = 0; i < p->n; i++)
        say_action(&p->actions[i], b);
    for (size_t i = 0; i < in->n_units; i++) {
        const struct unit *u = &in->units[i];
        if (!removed(p, (int)i) && (!u->recorded || p->next[i] != u->state))
            buf_addf(b, "%s%s %s → %s", b->len ? ", " : "", u->type, u->id,
                     instance_state_names[p->next[i]]);
    }
    for (size_t i = 0; i < in->n_rollouts; i++)
        say_status(&in->rollouts[i], &p->status[i], b);
}

static void play(const struct scene *s, int starts, struct buf *said, int64_t *ret_wake)
{
    struct scene_models models;
    struct unit units[32];
    static struct plan_pool pool;
    pool = (struct plan_pool){.next = 2, .starts = starts};
    scene_parse(NULL, s->processes, NULL, s->rollouts, &models);
    struct plan_input in = {.app = "shop",
                            .gone = !s->rollouts,
                            .rollouts = models.rolled,
                            .n_rollouts = models.n_rollouts,
                            .units = units,
                            .n_units = parse_units(s->units, units),
                            .now = NOW,
                            .boot_ms = BOOT,
                            .drain_ms = DRAIN};
    struct plan p = {0};
    plan_app(&in, &pool, &p);
    say(&p, &in, said);
    if (p.crowded)
        buf_adds(said, ", the rest waits");
    *ret_wake = p.wake;
    plan_release_contents(&p);
    for (size_t i = 0; i < in.n_units; i++) {
        free((char *)units[i].type);
        free((char *)units[i].id);
    }
    scene_release(&models);
}

/* ---- the table ---- */

static const struct scene scenes[] = {
    {"the first release starts its default formation", "v1 starting g0 web=1 worker=0",
     "web=1 worker=0", "", "start new web v1.g0.1"},
    {"a formation overrides the defaults", "v1 starting g0 web=2 worker=1", "web=1 worker=0", "",
     "start new web v1.g0.1, start new web v1.g0.2, start new worker v1.g0.1"},
    {"one that listens is ready", "v1 starting g0 web=1", NULL, "web v1.g0.1 starting up",
     "web v1.g0.1 → ready, v1 ready"},
    {"a release waits for all its types", "v1 starting g0 web=1 worker=1", "web=1 worker=0",
     "web v1.g0.1 ready, worker v1.g0.1 starting", ""},
    {"nothing to run is ready at once", "v1 starting g0 web=0", NULL, "", "v1 ready"},
    {"a live release that is whole: nothing", "v1 live g0 web=1", NULL, "web v1.g0.1 ready", ""},
    {"a new release starts beside the old one", "v1 live g0 web=1, v2 starting g0 web=1", NULL,
     "web v1.g0.1 ready", "start new web v2.g0.1"},
    {"the old one serves until all new ones are ready", "v1 live g0 web=2, v2 starting g0 web=2",
     NULL, "web v1.g0.1 ready, web v1.g0.2 ready, web v2.g0.1 ready, web v2.g0.2 starting", ""},
    {"a release is ready beside the old one", "v1 live g0 web=1, v2 starting g0 web=1", NULL,
     "web v1.g0.1 ready, web v2.g0.1 ready", "v2 ready"},
    {"… and the old one goes once that has no rollout: web is drained", "v2 live g0 web=1", NULL,
     "web v1.g0.1 ready, web v2.g0.1 ready", "web v1.g0.1 → draining"},
    {"… with all its types", "v1 live g0 web=1 worker=1, v2 starting g0 web=1 worker=1",
     "web=1 worker=0",
     "web v1.g0.1 ready, web v2.g0.1 ready, worker v1.g0.1 ready, worker v2.g0.1 ready",
     "v2 ready"},
    {"… other types are stopped", "v2 live g0 web=1 worker=1", "web=1 worker=0",
     "web v1.g0.1 ready, web v2.g0.1 ready, worker v1.g0.1 ready, worker v2.g0.1 ready",
     "stop worker v1.g0.1, web v1.g0.1 → draining, worker v1.g0.1 → stopping"},
    {"draining waits for the gateway", "v2 live g0 web=1", NULL,
     "web v1.g0.1 draining, web v2.g0.1 ready", ""},
    {"drained: stopped", "v2 live g0 web=1", NULL, "web v1.g0.1 drained, web v2.g0.1 ready",
     "stop web v1.g0.1, web v1.g0.1 → stopping"},
    {"draining for too long: stopped", "v2 live g0 web=1", NULL,
     "web v1.g0.1 draining since=-300000, web v2.g0.1 ready",
     "stop web v1.g0.1, web v1.g0.1 → stopping"},
    {"crashed while draining: stopped", "v2 live g0 web=1", NULL,
     "web v1.g0.1 draining crashed, web v2.g0.1 ready", "stop web v1.g0.1, web v1.g0.1 → stopping"},
    {"stopping: told once", "v2 live g0 web=1", NULL,
     "web v1.g0.1 stopping told, web v2.g0.1 ready", ""},
    {"stopping, but we were killed before the signal", "v2 live g0 web=1", NULL,
     "web v1.g0.1 stopping, web v2.g0.1 ready", "stop web v1.g0.1"},
    {"ended: removed", "v2 live g0 web=1", NULL,
     "web v1.g0.1 stopping told ended, web v2.g0.1 ready", "remove web v1.g0.1"},
    {"an old one that doesn't run needs no draining", "v2 live g0 web=1", NULL,
     "web v1.g0.1 ready dead, web v1.g0.2 crashed crashed, web v2.g0.1 ready",
     "remove web v1.g0.1, stop web v1.g0.2, web v1.g0.2 → stopping"},
    {"the new one crashes in the very moment it is live: the old one serves until it is back",
     "v2 live g0 web=1", NULL, "web v1.g0.1 ready, web v2.g0.1 ready crashed",
     "web v2.g0.1 → crashed"},
    {"a type the new release doesn't have goes with the old one", "v2 live g0 web=1", NULL,
     "cron v1.g0.1 ready, web v1.g0.1 ready, web v2.g0.1 ready",
     "stop cron v1.g0.1, cron v1.g0.1 → stopping, web v1.g0.1 → draining"},
    {"scale up touches nothing else", "v1 live g0 web=3", NULL, "web v1.g0.1 ready",
     "start new web v1.g0.2, start new web v1.g0.3"},
    {"scale down: the highest go", "v1 live g0 web=1", NULL,
     "web v1.g0.1 ready, web v1.g0.2 ready, web v1.g0.3 ready",
     "web v1.g0.2 → draining, web v1.g0.3 → draining"},
    {"scaled up again before it was gone", "v1 live g0 web=2", NULL,
     "web v1.g0.1 ready, web v1.g0.2 draining up", "web v1.g0.2 → ready"},
    {"… but it was stopped already: a new one once it is gone", "v1 live g0 web=2", NULL,
     "web v1.g0.1 ready, web v1.g0.2 stopping told", ""},
    {"… and is gone", "v1 live g0 web=2", NULL,
     "web v1.g0.1 ready, web v1.g0.2 stopping told ended", "remove web v1.g0.2"},
    {"scale to zero", "v1 live g0 web=0", NULL, "web v1.g0.1 ready", "web v1.g0.1 → draining"},
    {"restart: a new generation beside the old", "v1 live g1 web=1", NULL, "web v1.g0.1 ready",
     "start new web v1.g1.1"},
    {"restart: the old generation serves meanwhile", "v1 live g1 web=1", NULL,
     "web v1.g0.1 ready, web v1.g1.1 starting", ""},
    {"restart: then it goes", "v1 live g1 web=1", NULL, "web v1.g0.1 ready, web v1.g1.1 ready",
     "web v1.g0.1 → draining"},
    {"restart: a new generation that crashes takes nothing down", "v1 live g1 web=1", NULL,
     "web v1.g0.1 ready, web v1.g1.1 crashed crashed exits=7 exit=1", ""},
    {"restart during a rollout: the new release's old generation goes",
     "v1 live g0 web=1, v2 starting g1 web=1", NULL,
     "web v1.g0.1 ready, web v2.g0.1 starting, web v2.g1.1 starting",
     "stop web v2.g0.1, web v2.g0.1 → stopping"},
    {"exits three times at boot: failed, the old one stays",
     "v1 live g0 web=1, v2 starting g0 web=1", NULL,
     "web v1.g0.1 ready, web v2.g0.1 crashed crashed exits=3 exit=1",
     "v2 failed: web.1 exited at boot with status 1"},
    {"… and goes once `release` has said so", "v1 live g0 web=1, v2 going", NULL,
     "web v1.g0.1 ready, web v2.g0.1 crashed crashed exits=3 exit=1",
     "stop web v2.g0.1, web v2.g0.1 → stopping"},
    {"exits twice: not yet", "v1 live g0 web=1, v2 starting g0 web=1", NULL,
     "web v1.g0.1 ready, web v2.g0.1 crashed crashed exits=2 exit=1", ""},
    {"says what the shim knows about the exit", "v1 starting g0 web=1", NULL,
     "web v1.g0.1 crashed crashed oom exits=3 exit=137",
     "v1 failed: web.1 exited at boot with status 137 (out of memory)"},
    {"… and goes once `release` has said so", "v1 going", NULL,
     "web v1.g0.1 crashed crashed oom exits=3 exit=137",
     "stop web v1.g0.1, web v1.g0.1 → stopping"},
    {"listens at the wrong place: failed before the timeout",
     "v1 live g0 web=1, v2 starting g0 web=1", NULL,
     "web v1.g0.1 ready, web v2.g0.1 starting stuck",
     "v2 failed: web.1 listens on port 3000, but PORT is 5000"},
    {"… and goes once `release` has said so", "v1 live g0 web=1, v2 going", NULL,
     "web v1.g0.1 ready, web v2.g0.1 starting stuck", "stop web v2.g0.1, web v2.g0.1 → stopping"},
    {"never listens: R10", "v1 live g0 web=1, v2 starting g0 web=1", NULL,
     "web v1.g0.1 ready, web v2.g0.1 starting late made=-60000",
     "v2 failed: web.1 did not listen on port 5000 within 60 s (R10 boot timeout)"},
    {"… and goes once `release` has said so", "v1 live g0 web=1, v2 going", NULL,
     "web v1.g0.1 ready, web v2.g0.1 starting late made=-60000",
     "stop web v2.g0.1, web v2.g0.1 → stopping"},
    {"can't be started: tried again after a pause", "v1 live g0 web=1, v2 starting g0 web=1", NULL,
     "web v1.g0.1 ready, web v2.g0.1 starting dead nospace attempts=1", ""},
    {"… again", "v1 live g0 web=1, v2 starting g0 web=1", NULL,
     "web v1.g0.1 ready, web v2.g0.1 starting dead nospace attempts=1 attempted=-1000",
     "start web v2.g0.1"},
    {"… three times: failed", "v1 live g0 web=1, v2 starting g0 web=1", NULL,
     "web v1.g0.1 ready, web v2.g0.1 starting dead nospace attempts=3",
     "v2 failed: web.1 could not be started: no space left"},
    {"… and goes once `release` has said so", "v1 live g0 web=1, v2 going", NULL,
     "web v1.g0.1 ready, web v2.g0.1 starting dead nospace attempts=3", "remove web v2.g0.1"},
    {"the shim can't start it: failed with its words", "v1 starting g0 web=1", NULL,
     "web v1.g0.1 crashed crashed oom exits=3",
     "v1 failed: web.1 could not be started: out of memory"},
    {"… and goes once `release` has said so", "v1 going", NULL,
     "web v1.g0.1 crashed crashed oom exits=3", "stop web v1.g0.1, web v1.g0.1 → stopping"},
    {"a failed release's ready instances are drained", "v1 live g0 web=2, v2 going", NULL,
     "web v1.g0.1 ready, web v1.g0.2 ready, web v2.g0.1 ready", "web v2.g0.1 → draining"},
    {"after a failure the live one is whole again", "v1 live g0 web=2, v2 going", NULL,
     "web v1.g0.1 ready", "start new web v1.g0.2"},
    {"after a failure scaling applies to the live one", "v1 live g0 web=1, v2 going", NULL,
     "web v1.g0.1 ready, web v1.g0.2 ready", "web v1.g0.2 → draining"},
    {"after a failure a restart applies to the live one", "v1 live g1 web=1, v2 going", NULL,
     "web v1.g0.1 ready", "start new web v1.g1.1"},
    {"a live release is not failed by crashes", "v1 live g0 web=1", NULL,
     "web v1.g0.1 crashed crashed exits=9 exit=1", ""},
    {"a later release overtakes one under way", "v1 live g0 web=1, v3 starting g0 web=1", NULL,
     "web v1.g0.1 ready, web v2.g0.1 starting",
     "start new web v3.g0.1, stop web v2.g0.1, web v2.g0.1 → stopping"},
    {"… whose ready instances are drained", "v1 live g0 web=1, v3 starting g0 web=2", NULL,
     "web v1.g0.1 ready, web v2.g0.1 ready, web v3.g0.1 starting, web v3.g0.2 starting",
     "web v2.g0.1 → draining"},
    {"what was on its way out before a rollout stays so", "v1 live g0 web=1, v2 starting g0 web=1",
     NULL, "web v1.g0.1 ready, web v1.g0.2 draining, web v1.g0.3 drained, web v2.g0.1 starting",
     "stop web v1.g0.3, web v1.g0.3 → stopping"},
    {"release phase first", "v1 preparing g0 release=1", "web=1 release=0", "",
     "start new release v1.g0.1"},
    {"release phase runs: nothing else starts", "v1 live g0 web=1, v2 preparing g0 release=1",
     "web=1 release=0", "release v2.g0.1 starting, web v1.g0.1 ready", ""},
    {"release phase done: what is left of it stays until that is written",
     "v1 preparing g0 release=1", "web=1 release=0", "release v1.g0.1 starting ended exit=0",
     "v1 release ended with 0"},
    {"… also if `release` says nothing", "v1 preparing g0 release=1 release/0", "web=1 release=0",
     "", ""},
    {"… then it is removed", "v1 starting g0 web=1 release/0", "web=1 release=0",
     "release v1.g0.1 starting ended exit=0", "start new web v1.g0.1, remove release v1.g0.1"},
    {"release phase fails: so does the release", "v1 live g0 web=1, v2 preparing g0 release=1",
     "web=1 release=0", "release v2.g0.1 starting ended exit=3, web v1.g0.1 ready",
     "v2 release ended with 3, v2 failed: release phase exited with status 3"},
    {"… then it is removed", "v1 live g0 web=1, v2 going", "web=1 release=0",
     "release v2.g0.1 starting ended exit=3, web v1.g0.1 ready", "remove release v2.g0.1"},
    {"release phase lost its shim: run again", "v1 preparing g0 release=1", "web=1 release=0",
     "release v1.g0.1 starting dead", "start release v1.g0.1"},
    {"release phase overtaken: stopped", "v2 preparing g0 release=1", "web=1 release=0",
     "release v1.g0.1 starting",
     "start new release v2.g0.1, stop release v1.g0.1, release v1.g0.1 → stopping"},
    {"postdeploy waits", "v1 starting g0 web=1", "web=1 postdeploy=0", "web v1.g0.1 ready",
     "v1 ready"},
    {"… once it is live", "v1 live g0 web=1 postdeploy=1", "web=1 postdeploy=0",
     "web v1.g0.1 ready", "start new postdeploy v1.g0.1"},
    {"… to its end", "v1 live g0 web=1 postdeploy=1", "web=1 postdeploy=0",
     "postdeploy v1.g0.1 starting, web v1.g0.1 ready", ""},
    {"… however that is", "v1 live g0 web=1 postdeploy=1", "web=1 postdeploy=0",
     "postdeploy v1.g0.1 starting ended exit=3, web v1.g0.1 ready", "v1 postdeploy ended with 3"},
    {"… and then it is removed", "v1 live g0 web=1 postdeploy=1 postdeploy/3", "web=1 postdeploy=0",
     "postdeploy v1.g0.1 starting ended exit=3, web v1.g0.1 ready", "remove postdeploy v1.g0.1"},
    {"… started before we died: not again", "v1 live g0 web=1 postdeploy=1", "web=1 postdeploy=0",
     "postdeploy v1.g0.1 starting, web v1.g0.1 ready", ""},
    {"after a reboot everything desired is started again", "v1 live g0 web=2", NULL,
     "web v1.g0.1 ready dead, web v1.g0.2 crashed dead",
     "start web v1.g0.1, start web v1.g0.2, web v1.g0.1 → starting, web v1.g0.2 → starting"},
    {"after a reboot during a rollout both releases are", "v1 live g0 web=1, v2 starting g0 web=1",
     NULL, "web v1.g0.1 ready dead, web v2.g0.1 starting dead",
     "start web v1.g0.1, start web v2.g0.1, web v1.g0.1 → starting"},
    {"after a reboot what was on its way out is gone", "v2 live g0 web=1", NULL,
     "web v1.g0.1 draining dead, web v2.g0.1 ready", "remove web v1.g0.1"},
    {"killed between start and record: adopted", "v1 live g0 web=1", NULL,
     "web v1.g0.1 starting unrecorded", "web v1.g0.1 → starting"},
    {"adopted while ready and not probed yet: stays ready", "v1 live g0 web=1", NULL,
     "web v1.g0.1 starting up unrecorded", "web v1.g0.1 → ready"},
    {"all attempts of a live one failed: still tried, after the pause", "v1 live g0 web=1", NULL,
     "web v1.g0.1 starting dead attempts=9 attempted=-59000", ""},
    {"… again", "v1 live g0 web=1", NULL, "web v1.g0.1 starting dead attempts=9 attempted=-60000",
     "start web v1.g0.1"},
    {"a crash shows", "v1 live g0 web=1", NULL, "web v1.g0.1 ready crashed",
     "web v1.g0.1 → crashed"},
    {"… its restart too", "v1 live g0 web=1", NULL, "web v1.g0.1 crashed booting",
     "web v1.g0.1 → starting"},
    {"… even one we never saw", "v1 live g0 web=1", NULL, "web v1.g0.1 ready restarted failing",
     "web v1.g0.1 → starting"},
    {"… until it is ready again", "v1 live g0 web=1", NULL, "web v1.g0.1 starting restarted up",
     "web v1.g0.1 → ready"},
    {"readiness checks fail: out of the gateway", "v1 live g0 web=1", NULL,
     "web v1.g0.1 ready failing", "web v1.g0.1 → starting"},
    {"liveness checks fail: restarted", "v1 live g0 web=1", NULL, "web v1.g0.1 ready deadly",
     "kick web v1.g0.1: web.1 answered GET /live with 500"},
    {"… once", "v1 live g0 web=1", NULL, "web v1.g0.1 ready deadly kicked", ""},
    {"… out of the gateway while it ends", "v1 live g0 web=1", NULL,
     "web v1.g0.1 ready deadly kicked stopping", "web v1.g0.1 → starting"},
    {"a restart that doesn't get ready in time: another", "v1 live g0 web=1", NULL,
     "web v1.g0.1 starting late since=-60000",
     "kick web v1.g0.1: web.1 did not listen on port 5000 within 60 s (R10 boot timeout)"},
    {"… also of the old release during a rollout", "v1 live g0 web=1, v2 starting g0 web=1", NULL,
     "web v1.g0.1 starting late since=-60000, web v2.g0.1 starting",
     "kick web v1.g0.1: web.1 did not listen on port 5000 within 60 s (R10 boot timeout)"},
    {"the app is gone: stopped without ceremony", NULL, NULL,
     "web v1.g0.1 ready, web v1.g0.2 draining, web v1.g0.3 starting dead",
     "stop web v1.g0.1, stop web v1.g0.2, remove web v1.g0.3, web v1.g0.1 → stopping, web v1.g0.2 "
     "→ stopping"},
    {"… lost: nobody knows how it ended, and it is not run again", "v1 live g0 web=1 postdeploy=1",
     "web=1 postdeploy=0", "postdeploy v1.g0.1 starting dead, web v1.g0.1 ready",
     "v1 postdeploy ended with -1"},
    {"release phase can't be started: failed", "v1 preparing g0 release=1", "web=1 release=0",
     "release v1.g0.1 starting dead nospace attempts=3",
     "v1 failed: release phase could not be started: no space left"},
    {"what failed stays as it is until `release` has said what follows",
     "v1 starting g0 web=2 failed", NULL, "web v1.g0.1 ready deadly, web v1.g0.2 starting dead",
     ""},
    {"… another generation has another go", "v1 starting g1 web=1 failed stale", NULL, "",
     "start new web v1.g1.1"},
    {"`release` has not looked at it yet: everything stays as it is", "", NULL,
     "web v1.g0.1 ready, web v1.g0.2 starting dead, web v1.g0.3 drained",
     "stop web v1.g0.3, web v1.g0.3 → stopping"},
    {"a rollout whose release isn't there yet: its instances wait", "v2 live g0 web=1 unknown",
     NULL, "web v2.g0.1 ready, web v2.g0.2 ready, web v1.g0.1 ready", ""},
};

static void every_scene_ends_as_it_should(void **state)
{
    (void)state;
    size_t wrong = 0;
    for (size_t i = 0; i < ARRAY_LEN(scenes); i++) {
        _cleanup_(buf_release) struct buf said = BUF_INIT;
        int64_t wake;
        play(&scenes[i], STARTS_AT_ONCE, &said, &wake);
        if (!str_eq(buf_str(&said), str_of(scenes[i].expect))) {
            print_error("%s\n  expected: %s\n  planned:  %s\n", scenes[i].what, scenes[i].expect,
                        said.ptr ? said.ptr : "");
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

static void few_start_at_once(void **state)
{
    (void)state;
    _cleanup_(buf_release) struct buf said = BUF_INIT;
    int64_t wake;
    struct scene s = {"", "v1 starting g0 web=5", NULL, "", ""};
    play(&s, 2, &said, &wake);
    assert_string_equal(said.ptr, "start new web v1.g0.1, start new web v1.g0.2, the rest waits");
}

static void wakes_for_deadlines(void **state)
{
    (void)state;
    static const struct {
        const char *rollouts, *units;
        int64_t wake;
    } cases[] = {
        {"v1 live g0 web=1, v2 starting g0 web=1",
         "web v1.g0.1 ready, web v2.g0.1 starting made=-10000", NOW - 10000 + BOOT},
        {"v2 live g0 web=1", "web v1.g0.1 draining since=-1000, web v2.g0.1 ready",
         NOW - 1000 + DRAIN},
        {"v2 live g0 web=1", "web v2.g0.1 starting since=-1000", NOW - 1000 + BOOT},
        {"v2 live g0 web=1", "web v2.g0.1 starting dead attempts=2", NOW + 2000},
        {"v2 live g0 web=1", "web v2.g0.1 ready", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_(buf_release) struct buf said = BUF_INIT;
        int64_t wake;
        struct scene s = {"", cases[i].rollouts, NULL, cases[i].units, ""};
        play(&s, STARTS_AT_ONCE, &said, &wake);
        if (wake != cases[i].wake)
            fail_msg("%s: wakes at now%+ld, not %+ld", cases[i].units, wake - NOW,
                     cases[i].wake - NOW);
    }
}

static void addresses_are_unique_and_used_again_late(void **state)
{
    (void)state;
    static struct plan_pool pool;
    struct scene_models models;
    scene_parse(NULL, "web=300", NULL, "v1 starting g0 web=300", &models);
    struct plan_input in = {.app = "a",
                            .rollouts = models.rolled,
                            .n_rollouts = models.n_rollouts,
                            .now = NOW,
                            .boot_ms = BOOT,
                            .drain_ms = DRAIN};
    pool = (struct plan_pool){.next = 65500, .starts = 300};
    pool_take(&pool, 65501);
    pool_take(&pool, 3);
    struct plan p = {0};
    plan_app(&in, &pool, &p);
    static bool seen[65536];
    assert_int_equal(p.n, 300);
    for (size_t i = 0; i < p.n; i++) {
        uint16_t host = p.actions[i].host;
        assert_false(seen[host]);
        seen[host] = true;
        assert_true(host > 1 && host != 65535 && host != 65501 && host != 3);
    }
    assert_true(seen[65500] && seen[65534] && seen[2] && seen[4]);
    plan_release_contents(&p);
    scene_release(&models);
}

static void an_address_is_kept_or_given(void **state)
{
    (void)state;
    struct scene_models models;
    scene_parse(NULL, "web=2", NULL, "v1 live g0 web=2", &models);
    struct unit units[] = {{.type = "web", .release = 1, .index = 1, .host = 77},
                           {.type = "web", .release = 1, .index = 2}};
    static struct plan_pool pool;
    pool = (struct plan_pool){.next = 77, .starts = 8};
    pool_take(&pool, 77);
    struct plan_input in = {.app = "a",
                            .rollouts = models.rolled,
                            .n_rollouts = models.n_rollouts,
                            .units = units,
                            .n_units = 2,
                            .now = NOW,
                            .boot_ms = BOOT};
    struct plan p = {0};
    plan_app(&in, &pool, &p);
    assert_int_equal(p.n, 2);
    assert_int_equal(p.actions[0].host, 77);
    assert_int_equal(p.actions[1].host, 78);
    plan_release_contents(&p);
    scene_release(&models);
}

static void waiting_on_purpose_is_not_being_late(void **state)
{
    (void)state;
    struct scene_models models;
    scene_parse(NULL, "web=1", NULL, "v1 starting g0 web=1", &models);
    struct process *web = list_at(&models.releases[0].processes, struct process, 0);
    struct check *c = list_add(&web->checks, sizeof(*c));
    c->uptime = 90;
    struct unit u = {.type = "web",
                     .id = "v1.g0.1",
                     .release = 1,
                     .index = 1,
                     .recorded = true,
                     .state = INSTANCE_STARTING,
                     .made = NOW - 149999,
                     .alive = true,
                     .shim = SHIM_RUNNING,
                     .pid = 1,
                     .seen_pid = 1,
                     .exit = -1,
                     .probe = PROBE_WAITING};
    static struct plan_pool pool;
    struct plan_input in = {.app = "a",
                            .rollouts = models.rolled,
                            .n_rollouts = models.n_rollouts,
                            .units = &u,
                            .n_units = 1,
                            .now = NOW,
                            .boot_ms = BOOT};
    struct plan p = {0};
    plan_app(&in, &pool, &p);
    assert_int_equal(p.n, 0);
    plan_release_contents(&p);
    u.made--;
    plan_app(&in, &pool, &p);
    assert_string_equal(p.status[0].failed,
                        "web.1 did not get ready within 150 s (R10 boot timeout)");
    plan_release_contents(&p);
    scene_release(&models);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_scene_ends_as_it_should),
        cmocka_unit_test(few_start_at_once),
        cmocka_unit_test(wakes_for_deadlines),
        cmocka_unit_test(addresses_are_unique_and_used_again_late),
        cmocka_unit_test(an_address_is_kept_or_given),
        cmocka_unit_test(waiting_on_purpose_is_not_being_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
