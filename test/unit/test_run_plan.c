/* run's plan as a table: what should be, what is → what is done. All of it in words:
 *
 *   desired   "v2 g0 web=2"            release, generation, formation
 *   processes "web=1 worker=0"         of every release, with its default quantity
 *   releases  "v1 live, v2 starting"
 *   units     "web v1.g0.1 ready, …"   recorded, its shim alive, its process running unless a word
 *                                      says otherwise (see unit_word)
 *   expect    what plan does, in order, then the records that change
 */
#include "cm.h"

#include "run/plan.h"

enum { NOW = 1000000, BOOT = 60000, DRAIN = 300000 };

struct scene {
    const char *what, *desired, *processes, *releases, *units, *expect;
};

/* ---- words to structs ---- */

static struct str next_word(struct str *rest, char sep)
{
    struct str w = {"", 0};
    while (rest->ptr && !w.len)
        w = str_trim(str_cut(rest, sep));
    return w;
}

static int64_t number(struct str s)
{
    bool negative = s.len && s.ptr[0] == '-';
    uint64_t n = 0;
    if (negative)
        s.ptr++, s.len--;
    assert_int_equal(str_to_u64(s, 0, INT64_MAX, &n, NULL), 0);
    return negative ? -(int64_t)n : (int64_t)n;
}

static char *text(struct str s) { return xstrndup(s.ptr, s.len); }

static struct desired parse_desired(const char *words)
{
    struct desired d = {0};
    struct str rest = str_of(words), w;
    while ((w = next_word(&rest, ' ')).len) {
        struct str value = w, name = str_cut(&value, '=');
        _cleanup_free_ char *n = text(name);
        if (value.ptr)
            counts_set(&d.formation, n, number(value));
        else if (w.ptr[0] == 'v')
            d.release = number((struct str){w.ptr + 1, w.len - 1});
        else
            d.generation = number((struct str){w.ptr + 1, w.len - 1});
    }
    return d;
}

static void parse_processes(const char *words, struct release *r)
{
    struct str rest = str_of(words ? words : "web=1"), w;
    while ((w = next_word(&rest, ' ')).len) {
        struct str value = w, name = str_cut(&value, '=');
        struct process *p = list_add(&r->processes, sizeof(*p));
        p->type = text(name);
        p->quantity = value.ptr ? number(value) : 0;
    }
}

static int state_named(struct str name, const char *const *names)
{
    for (int i = 0; names[i]; i++)
        if (str_eq(name, str_of(names[i])))
            return i;
    fail_msg("no state '%.*s'", (int)name.len, name.ptr);
    return 0;
}

static size_t parse_releases(const char *words, const char *processes, struct release_seen *ret)
{
    struct str rest = str_of(words), one;
    size_t n = 0;
    while ((one = next_word(&rest, ',')).len) {
        struct release *r = xcalloc(1, sizeof(*r));
        struct str number_word = next_word(&one, ' ');
        r->number = number((struct str){number_word.ptr + 1, number_word.len - 1});
        parse_processes(processes, r);
        ret[n++] = (struct release_seen){r, state_named(next_word(&one, ' '), release_state_names)};
    }
    return n;
}

static bool is(struct str s, const char *word) { return str_eq(s, str_of(word)); }

/* `dead` no shim · `unrecorded` not in the store · `crashed|booting|stopping|ended` what the shim
 * says · `told` had its SIGTERM · `kicked` was told to restart · `restarted` another pid than
 * recorded · `stuck|late|failing|deadly|up` what the probe says · exits=N exit=N made=-MS since=-MS
 * attempts=N attempted=-MS */
static void unit_word(struct unit *u, struct str w)
{
    struct str value = w, name = str_cut(&value, '=');
    if (is(name, "dead"))
        u->alive = false;
    else if (is(name, "unrecorded"))
        u->recorded = false;
    else if (is(name, "crashed"))
        u->shim = SHIM_CRASHED, u->pid = 0, u->probe = PROBE_NONE;
    else if (is(name, "booting"))
        u->shim = SHIM_STARTING, u->pid = 0, u->probe = PROBE_NONE;
    else if (is(name, "stopping"))
        u->shim = SHIM_STOPPING;
    else if (is(name, "ended"))
        u->shim = SHIM_STOPPED, u->alive = false, u->pid = 0;
    else if (is(name, "told"))
        u->told_to_stop = true;
    else if (is(name, "kicked"))
        u->kicked_pid = u->pid;
    else if (is(name, "restarted"))
        u->pid++;
    else if (is(name, "stuck"))
        u->probe = PROBE_STUCK, u->probe_reason = "listens on port 3000, but PORT is 5000";
    else if (is(name, "late"))
        u->probe_reason = "did not listen on port 5000";
    else if (is(name, "failing"))
        u->probe = PROBE_FAILING;
    else if (is(name, "deadly"))
        u->probe = PROBE_DEAD, u->probe_reason = "answered GET /live with 500";
    else if (is(name, "up"))
        u->probe = PROBE_READY;
    else if (is(name, "oom"))
        u->reason = "out of memory";
    else if (is(name, "exits"))
        u->restarts = number(value) - (u->shim == SHIM_CRASHED);
    else if (is(name, "exit"))
        u->exit = number(value);
    else if (is(name, "made"))
        u->made = NOW + number(value);
    else if (is(name, "since"))
        u->since = NOW + number(value);
    else if (is(name, "attempts"))
        u->attempts = (int)number(value), u->attempted = NOW;
    else if (is(name, "attempted"))
        u->attempted = NOW + number(value);
    else if (is(name, "nospace"))
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
        u->type = text(next_word(&one, ' '));
        u->id = text(next_word(&one, ' '));
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
    if (a->type == ACT_RELEASE)
        buf_addf(b, "v%ld %s", a->release, release_state_names[a->state]);
    else
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
}

static void play(const struct scene *s, int starts, struct buf *said, int64_t *ret_wake)
{
    struct release_seen releases[16];
    struct unit units[32];
    struct desired d = {0};
    static struct plan_pool pool;
    pool = (struct plan_pool){.next = 2, .starts = starts};
    if (s->desired)
        d = parse_desired(s->desired);
    struct plan_input in = {.app = "shop",
                            .desired = s->desired ? &d : NULL,
                            .releases = releases,
                            .n_releases = parse_releases(s->releases, s->processes, releases),
                            .units = units,
                            .n_units = parse_units(s->units, units),
                            .now = NOW,
                            .boot_ms = BOOT,
                            .drain_ms = DRAIN};
    struct plan p = {0};
    plan_app(&in, &pool, &p);
    say(&p, &in, said);
    *ret_wake = p.wake;
    plan_release_contents(&p);
    for (size_t i = 0; i < in.n_releases; i++) {
        release_release((struct release *)releases[i].release);
        free((struct release *)releases[i].release);
    }
    for (size_t i = 0; i < in.n_units; i++) {
        free((char *)units[i].type);
        free((char *)units[i].id);
    }
    desired_release(&d);
}

/* ---- the table ---- */

static const struct scene scenes[] = {
    {"nothing was ever deployed", "v0 g0", NULL, "", "", ""},
    {"the first release starts its default formation", "v1 g0", "web=1 worker=0", "v1 pending", "",
     "v1 starting, start new web v1.g0.1"},
    {"a formation overrides the defaults", "v1 g0 web=2 worker=1", "web=1 worker=0", "v1 starting",
     "", "start new web v1.g0.1, start new web v1.g0.2, start new worker v1.g0.1"},
    {"one that listens is ready and the release with it", "v1 g0", NULL, "v1 starting",
     "web v1.g0.1 starting up", "v1 live, web v1.g0.1 → ready"},
    {"a release waits for all its types", "v1 g0 worker=1", "web=1 worker=0", "v1 starting",
     "web v1.g0.1 ready, worker v1.g0.1 starting", ""},
    {"nothing to run is live at once", "v1 g0 web=0", NULL, "v1 pending", "", "v1 live"},
    {"a live release that is whole: nothing", "v1 g0", NULL, "v1 live", "web v1.g0.1 ready", ""},

    {"a new release starts beside the old one", "v2 g0", NULL, "v1 live, v2 pending",
     "web v1.g0.1 ready", "v2 starting, start new web v2.g0.1"},
    {"the old one serves until all new ones are ready", "v2 g0 web=2", NULL, "v1 live, v2 starting",
     "web v1.g0.1 ready, web v1.g0.2 ready, web v2.g0.1 ready, web v2.g0.2 starting", ""},
    {"then it goes: web is drained", "v2 g0", NULL, "v1 live, v2 starting",
     "web v1.g0.1 ready, web v2.g0.1 ready", "v2 live, v1 superseded, web v1.g0.1 → draining"},
    {"… other types are stopped", "v2 g0 worker=1", "web=1 worker=0", "v1 live, v2 starting",
     "web v1.g0.1 ready, web v2.g0.1 ready, worker v1.g0.1 ready, worker v2.g0.1 ready",
     "v2 live, v1 superseded, stop worker v1.g0.1, web v1.g0.1 → draining, "
     "worker v1.g0.1 → stopping"},
    {"draining waits for the gateway", "v2 g0", NULL, "v1 superseded, v2 live",
     "web v1.g0.1 draining, web v2.g0.1 ready", ""},
    {"drained: stopped", "v2 g0", NULL, "v1 superseded, v2 live",
     "web v1.g0.1 drained, web v2.g0.1 ready", "stop web v1.g0.1, web v1.g0.1 → stopping"},
    {"draining for too long: stopped", "v2 g0", NULL, "v1 superseded, v2 live",
     "web v1.g0.1 draining since=-300000, web v2.g0.1 ready",
     "stop web v1.g0.1, web v1.g0.1 → stopping"},
    {"crashed while draining: stopped", "v2 g0", NULL, "v1 superseded, v2 live",
     "web v1.g0.1 draining crashed, web v2.g0.1 ready", "stop web v1.g0.1, web v1.g0.1 → stopping"},
    {"stopping: told once", "v2 g0", NULL, "v1 superseded, v2 live",
     "web v1.g0.1 stopping told, web v2.g0.1 ready", ""},
    {"stopping, but we were killed before the signal", "v2 g0", NULL, "v1 superseded, v2 live",
     "web v1.g0.1 stopping, web v2.g0.1 ready", "stop web v1.g0.1"},
    {"ended: removed", "v2 g0", NULL, "v1 superseded, v2 live",
     "web v1.g0.1 stopping told ended, web v2.g0.1 ready", "remove web v1.g0.1"},
    {"an old one that doesn't run needs no draining", "v2 g0", NULL, "v1 superseded, v2 live",
     "web v1.g0.1 ready dead, web v1.g0.2 crashed crashed, web v2.g0.1 ready",
     "remove web v1.g0.1, stop web v1.g0.2, web v1.g0.2 → stopping"},
    {"a type the new release doesn't have goes with the old one", "v2 g0", NULL,
     "v1 live, v2 starting", "cron v1.g0.1 ready, web v1.g0.1 ready, web v2.g0.1 ready",
     "v2 live, v1 superseded, stop cron v1.g0.1, cron v1.g0.1 → stopping, web v1.g0.1 → draining"},

    {"scale up touches nothing else", "v1 g0 web=3", NULL, "v1 live", "web v1.g0.1 ready",
     "start new web v1.g0.2, start new web v1.g0.3"},
    {"scale down: the highest go", "v1 g0 web=1", NULL, "v1 live",
     "web v1.g0.1 ready, web v1.g0.2 ready, web v1.g0.3 ready",
     "web v1.g0.2 → draining, web v1.g0.3 → draining"},
    {"scaled up again before it was gone", "v1 g0 web=2", NULL, "v1 live",
     "web v1.g0.1 ready, web v1.g0.2 draining up", "web v1.g0.2 → ready"},
    {"… but it was stopped already: a new one once it is gone", "v1 g0 web=2", NULL, "v1 live",
     "web v1.g0.1 ready, web v1.g0.2 stopping told", ""},
    {"… and is gone", "v1 g0 web=2", NULL, "v1 live",
     "web v1.g0.1 ready, web v1.g0.2 stopping told ended", "remove web v1.g0.2"},
    {"scale to zero", "v1 g0 web=0", NULL, "v1 live", "web v1.g0.1 ready",
     "web v1.g0.1 → draining"},

    {"restart: a new generation beside the old", "v1 g1", NULL, "v1 live", "web v1.g0.1 ready",
     "start new web v1.g1.1"},
    {"restart: the old generation serves meanwhile", "v1 g1", NULL, "v1 live",
     "web v1.g0.1 ready, web v1.g1.1 starting", ""},
    {"restart: then it goes", "v1 g1", NULL, "v1 live", "web v1.g0.1 ready, web v1.g1.1 ready",
     "web v1.g0.1 → draining"},
    {"restart: a new generation that crashes takes nothing down", "v1 g1", NULL, "v1 live",
     "web v1.g0.1 ready, web v1.g1.1 crashed crashed exits=7 exit=1", ""},
    {"restart during a rollout: the new release's old generation goes", "v2 g1", NULL,
     "v1 live, v2 starting", "web v1.g0.1 ready, web v2.g0.1 starting, web v2.g1.1 starting",
     "stop web v2.g0.1, web v2.g0.1 → stopping"},

    {"exits three times at boot: failed, the old one stays", "v2 g0", NULL, "v1 live, v2 starting",
     "web v1.g0.1 ready, web v2.g0.1 crashed crashed exits=3 exit=1",
     "v2 failed: web.1 exited at boot with status 1, stop web v2.g0.1, web v2.g0.1 → stopping"},
    {"exits twice: not yet", "v2 g0", NULL, "v1 live, v2 starting",
     "web v1.g0.1 ready, web v2.g0.1 crashed crashed exits=2 exit=1", ""},
    {"says what the shim knows about the exit", "v1 g0", NULL, "v1 starting",
     "web v1.g0.1 crashed crashed oom exits=3 exit=137",
     "v1 failed: web.1 exited at boot with status 137 (out of memory), stop web v1.g0.1, "
     "web v1.g0.1 → stopping"},
    {"listens at the wrong place: failed before the timeout", "v2 g0", NULL, "v1 live, v2 starting",
     "web v1.g0.1 ready, web v2.g0.1 starting stuck",
     "v2 failed: web.1 listens on port 3000, but PORT is 5000, stop web v2.g0.1, "
     "web v2.g0.1 → stopping"},
    {"never listens: R10", "v2 g0", NULL, "v1 live, v2 starting",
     "web v1.g0.1 ready, web v2.g0.1 starting late made=-60000",
     "v2 failed: web.1 did not listen on port 5000 within 60 s (R10 boot timeout), "
     "stop web v2.g0.1, web v2.g0.1 → stopping"},
    {"can't be started: tried again after a pause", "v2 g0", NULL, "v1 live, v2 starting",
     "web v1.g0.1 ready, web v2.g0.1 starting dead nospace attempts=1", ""},
    {"… again", "v2 g0", NULL, "v1 live, v2 starting",
     "web v1.g0.1 ready, web v2.g0.1 starting dead nospace attempts=1 attempted=-1000",
     "start web v2.g0.1"},
    {"… three times: failed", "v2 g0", NULL, "v1 live, v2 starting",
     "web v1.g0.1 ready, web v2.g0.1 starting dead nospace attempts=3",
     "v2 failed: web.1 could not be started: no space left, remove web v2.g0.1"},
    {"the shim can't start it: failed with its words", "v1 g0", NULL, "v1 starting",
     "web v1.g0.1 crashed crashed oom exits=3",
     "v1 failed: web.1 could not be started: out of memory, stop web v1.g0.1, "
     "web v1.g0.1 → stopping"},
    {"a failed release's ready instances are drained", "v2 g0 web=2", NULL, "v1 live, v2 failed",
     "web v1.g0.1 ready, web v1.g0.2 ready, web v2.g0.1 ready", "web v2.g0.1 → draining"},
    {"after a failure the live one is whole again", "v2 g0 web=2", NULL, "v1 live, v2 failed",
     "web v1.g0.1 ready", "start new web v1.g0.2"},
    {"after a failure scaling applies to the live one", "v2 g0 web=1", NULL, "v1 live, v2 failed",
     "web v1.g0.1 ready, web v1.g0.2 ready", "web v1.g0.2 → draining"},
    {"after a failure a restart applies to the live one", "v2 g1", NULL, "v1 live, v2 failed",
     "web v1.g0.1 ready", "start new web v1.g1.1"},
    {"the first deploy failed: nothing runs", "v1 g0", NULL, "v1 failed", "", ""},
    {"a live release is not failed by crashes", "v1 g0", NULL, "v1 live",
     "web v1.g0.1 crashed crashed exits=9 exit=1", ""},

    {"a later release overtakes one under way", "v3 g0", NULL, "v1 live, v2 starting, v3 pending",
     "web v1.g0.1 ready, web v2.g0.1 starting",
     "v2 superseded, v3 starting, start new web v3.g0.1, stop web v2.g0.1, "
     "web v2.g0.1 → stopping"},
    {"… whose ready instances are drained", "v3 g0 web=2", NULL,
     "v1 live, v2 superseded, v3 starting",
     "web v1.g0.1 ready, web v2.g0.1 ready, web v3.g0.1 starting, web v3.g0.2 starting",
     "web v2.g0.1 → draining"},
    {"what was on its way out before a rollout stays so", "v2 g0", NULL, "v1 live, v2 starting",
     "web v1.g0.1 ready, web v1.g0.2 draining, web v1.g0.3 drained, web v2.g0.1 starting",
     "stop web v1.g0.3, web v1.g0.3 → stopping"},
    {"superseded releases stay so", "v3 g0", NULL, "v1 superseded, v2 failed, v3 live",
     "web v3.g0.1 ready", ""},

    {"release phase first", "v1 g0", "web=1 release=0", "v1 pending", "",
     "v1 preparing, start new release v1.g0.1"},
    {"release phase runs: nothing else starts", "v2 g0", "web=1 release=0", "v1 live, v2 preparing",
     "release v2.g0.1 starting, web v1.g0.1 ready", ""},
    {"release phase done: the release starts, what is left of it stays until that is written",
     "v1 g0", "web=1 release=0", "v1 preparing", "release v1.g0.1 starting ended exit=0",
     "v1 starting, start new web v1.g0.1"},
    {"… then it is removed", "v1 g0", "web=1 release=0", "v1 starting",
     "release v1.g0.1 starting ended exit=0, web v1.g0.1 starting", "remove release v1.g0.1"},
    {"release phase fails: so does the release", "v2 g0", "web=1 release=0",
     "v1 live, v2 preparing", "release v2.g0.1 starting ended exit=3, web v1.g0.1 ready",
     "v2 failed: release phase exited with status 3"},
    {"… then it is removed", "v2 g0", "web=1 release=0", "v1 live, v2 failed",
     "release v2.g0.1 starting ended exit=3, web v1.g0.1 ready", "remove release v2.g0.1"},
    {"release phase lost its shim: run again", "v1 g0", "web=1 release=0", "v1 preparing",
     "release v1.g0.1 starting dead", "start release v1.g0.1"},
    {"release phase overtaken: stopped", "v2 g0", "web=1 release=0", "v1 preparing, v2 pending",
     "release v1.g0.1 starting",
     "v1 superseded, v2 preparing, start new release v2.g0.1, stop release v1.g0.1, "
     "release v1.g0.1 → stopping"},
    {"no formation can run a release phase twice", "v1 g0 release=3", "web=1 release=0", "v1 live",
     "web v1.g0.1 ready", ""},

    {"postdeploy runs once its release is live", "v1 g0", "web=1 postdeploy=0", "v1 starting",
     "web v1.g0.1 ready", "v1 live, start new postdeploy v1.g0.1"},
    {"… to its end", "v1 g0", "web=1 postdeploy=0", "v1 live",
     "postdeploy v1.g0.1 starting, web v1.g0.1 ready", ""},
    {"… and then it is removed, however it ended", "v1 g0", "web=1 postdeploy=0", "v1 live",
     "postdeploy v1.g0.1 starting ended exit=3, web v1.g0.1 ready", "remove postdeploy v1.g0.1"},
    {"… started before we died: not again", "v1 g0", "web=1 postdeploy=0", "v1 starting",
     "postdeploy v1.g0.1 starting, web v1.g0.1 ready", "v1 live"},

    {"after a reboot everything desired is started again", "v1 g0 web=2", NULL, "v1 live",
     "web v1.g0.1 ready dead, web v1.g0.2 crashed dead",
     "start web v1.g0.1, start web v1.g0.2, "
     "web v1.g0.1 → starting, web v1.g0.2 → starting"},
    {"after a reboot during a rollout both releases are", "v2 g0", NULL, "v1 live, v2 starting",
     "web v1.g0.1 ready dead, web v2.g0.1 starting dead",
     "start web v1.g0.1, start web v2.g0.1, web v1.g0.1 → starting"},
    {"after a reboot what was on its way out is gone", "v2 g0", NULL, "v1 superseded, v2 live",
     "web v1.g0.1 draining dead, web v2.g0.1 ready", "remove web v1.g0.1"},
    {"killed between start and record: adopted", "v1 g0", NULL, "v1 live",
     "web v1.g0.1 starting unrecorded", "web v1.g0.1 → starting"},
    {"adopted while ready and not probed yet: stays ready", "v1 g0", NULL, "v1 live",
     "web v1.g0.1 starting up unrecorded", "web v1.g0.1 → ready"},
    {"all attempts of a live one failed: still tried, after the pause", "v1 g0", NULL, "v1 live",
     "web v1.g0.1 starting dead attempts=9 attempted=-59000", ""},
    {"… again", "v1 g0", NULL, "v1 live", "web v1.g0.1 starting dead attempts=9 attempted=-60000",
     "start web v1.g0.1"},

    {"a crash shows", "v1 g0", NULL, "v1 live", "web v1.g0.1 ready crashed",
     "web v1.g0.1 → crashed"},
    {"… its restart too", "v1 g0", NULL, "v1 live", "web v1.g0.1 crashed booting",
     "web v1.g0.1 → starting"},
    {"… even one we never saw", "v1 g0", NULL, "v1 live", "web v1.g0.1 ready restarted failing",
     "web v1.g0.1 → starting"},
    {"… until it is ready again", "v1 g0", NULL, "v1 live", "web v1.g0.1 starting restarted up",
     "web v1.g0.1 → ready"},
    {"readiness checks fail: out of the gateway", "v1 g0", NULL, "v1 live",
     "web v1.g0.1 ready failing", "web v1.g0.1 → starting"},
    {"liveness checks fail: restarted", "v1 g0", NULL, "v1 live", "web v1.g0.1 ready deadly",
     "kick web v1.g0.1: web.1 answered GET /live with 500"},
    {"… once", "v1 g0", NULL, "v1 live", "web v1.g0.1 ready deadly kicked", ""},
    {"… out of the gateway while it ends", "v1 g0", NULL, "v1 live",
     "web v1.g0.1 ready deadly kicked stopping", "web v1.g0.1 → starting"},
    {"a restart that doesn't get ready in time: another", "v1 g0", NULL, "v1 live",
     "web v1.g0.1 starting late since=-60000",
     "kick web v1.g0.1: web.1 did not listen on port 5000 within 60 s (R10 boot timeout)"},
    {"… also of the old release during a rollout", "v2 g0", NULL, "v1 live, v2 starting",
     "web v1.g0.1 starting late since=-60000, web v2.g0.1 starting",
     "kick web v1.g0.1: web.1 did not listen on port 5000 within 60 s (R10 boot timeout)"},

    {"the app is gone: stopped without ceremony", NULL, NULL, "",
     "web v1.g0.1 ready, web v1.g0.2 draining, web v1.g0.3 starting dead",
     "stop web v1.g0.1, stop web v1.g0.2, remove web v1.g0.3, web v1.g0.1 → stopping, "
     "web v1.g0.2 → stopping"},
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
    struct scene s = {"", "v1 g0 web=5", NULL, "v1 starting", "", ""};
    play(&s, 2, &said, &wake);
    assert_string_equal(said.ptr, "start new web v1.g0.1, start new web v1.g0.2");
    assert_int_equal(wake, NOW + 1000);
}

static void wakes_for_deadlines(void **state)
{
    (void)state;
    static const struct {
        const char *releases, *units;
        int64_t wake;
    } cases[] = {
        {"v1 live, v2 starting", "web v1.g0.1 ready, web v2.g0.1 starting made=-10000",
         NOW - 10000 + BOOT},
        {"v1 superseded, v2 live", "web v1.g0.1 draining since=-1000, web v2.g0.1 ready",
         NOW - 1000 + DRAIN},
        {"v1 superseded, v2 live", "web v2.g0.1 starting since=-1000", NOW - 1000 + BOOT},
        {"v1 superseded, v2 live", "web v2.g0.1 starting dead attempts=2", NOW + 2000},
        {"v1 superseded, v2 live", "web v2.g0.1 ready", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_(buf_release) struct buf said = BUF_INIT;
        int64_t wake;
        struct scene s = {"", "v2 g0", NULL, cases[i].releases, cases[i].units, ""};
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
    struct release r = {.number = 1};
    parse_processes("web=300", &r);
    struct release_seen releases[] = {{&r, RELEASE_STARTING}};
    struct desired d = {.release = 1};
    struct plan_input in = {.app = "a",
                            .desired = &d,
                            .releases = releases,
                            .n_releases = 1,
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
    release_release(&r);
}

static void an_address_is_kept_or_given(void **state)
{
    (void)state;
    struct release r = {.number = 1};
    parse_processes("web=2", &r);
    struct release_seen releases[] = {{&r, RELEASE_LIVE}};
    struct desired d = {.release = 1};
    struct unit units[] = {{.type = "web", .release = 1, .index = 1, .host = 77},
                           {.type = "web", .release = 1, .index = 2}};
    static struct plan_pool pool;
    pool = (struct plan_pool){.next = 77, .starts = 8};
    pool_take(&pool, 77);
    struct plan_input in = {.app = "a",
                            .desired = &d,
                            .releases = releases,
                            .n_releases = 1,
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
    release_release(&r);
}

static void waiting_on_purpose_is_not_being_late(void **state)
{
    (void)state;
    struct release r = {.number = 1};
    parse_processes("web=1", &r);
    struct process *web = list_at(&r.processes, struct process, 0);
    struct check *c = list_add(&web->checks, sizeof(*c));
    c->uptime = 90;
    struct release_seen releases[] = {{&r, RELEASE_STARTING}};
    struct desired d = {.release = 1};
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
                            .desired = &d,
                            .releases = releases,
                            .n_releases = 1,
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
    assert_string_equal(p.actions[0].reason,
                        "web.1 did not get ready within 150 s (R10 boot timeout)");
    plan_release_contents(&p);
    release_release(&r);
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
