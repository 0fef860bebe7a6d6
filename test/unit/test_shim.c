#include "cm.h"

#include "shim/policy.h"
#include "shim/spec.h"
#include "shim/status.h"

/* ---- spec ---- */

#define REQUIRED                                                                                   \
    "name shop.web.v1.1\napp shop\nprocess web.1\nupper /u\nwork /w\nrootfs /r\ncgroup davit/x\n"  \
    "log /l\nlayer /base\n"

static void spec_is_read(void **state)
{
    (void)state;
    struct err err;
    _cleanup_(spec_release) struct spec s = {0};
    assert_ok(spec_parse(STR(REQUIRED "layer /with blank\nbridge b0\nip 10.1.2.3/16\nhostif h0\n"
                                      "gateway 10.1.0.1\ngrace 5\nsignal 2\nrestart no\n\n"
                                      "log_max 200000\nlog_files 7"),
                         &s, &err),
              err);
    assert_string_equal(s.process, "web.1");
    assert_int_equal(s.layers.n, 2);
    assert_string_equal(s.layers.items[1], "/with blank");
    assert_string_equal(s.gateway, "10.1.0.1");
    assert_int_equal(s.grace, 5);
    assert_int_equal(s.signal, 2);
    assert_int_equal(s.log_max, 200000);
    assert_int_equal(s.log_files, 7);
    assert_false(s.restart);
}

static void spec_has_defaults(void **state)
{
    (void)state;
    struct err err;
    _cleanup_(spec_release) struct spec s = {0};
    assert_ok(spec_parse(STR(REQUIRED), &s, &err), err);
    assert_true(s.restart);
    assert_int_equal(s.grace, 30);
    assert_int_equal(s.signal, 15);
    assert_null(s.bridge);
}

static void spec_names_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "spec: \"name\" is missing"},
        {"name x\nname\n", "spec, line 2: \"name\" needs a value"},
        {"name x\n\nbogus 1\n", "spec, line 3: unknown name \"bogus\""},
        {" leading\n", "is missing"},
        {REQUIRED "grace 1s\n", "spec, line 10: grace"},
        {REQUIRED "grace 86401\n", "spec, line 10: grace"},
        {REQUIRED "signal 0\n", "spec, line 10: signal"},
        {REQUIRED "signal 65\n", "spec, line 10: signal"},
        {REQUIRED "log_files 0\n", "spec, line 10: log_files"},
        {REQUIRED "log_max 1000\n", "spec, line 10: log_max"},
        {REQUIRED "restart maybe\n", "spec, line 10: restart must be"},
        {REQUIRED "bridge b0\n", "a bridge needs"},
        {"name x\napp x\nprocess x\nupper x\nwork x\nrootfs x\ncgroup x\nlog x\n",
         "\"layer\" is missing"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err;
        struct spec s = {0};
        assert_err(spec_parse(str_of(cases[i].text), &s, &err), ERR_INVALID);
        assert_contains(err.msg, cases[i].says);
        assert_null(s.name);
    }
}

static void spec_refuses_nul(void **state)
{
    (void)state;
    struct err err;
    struct spec s = {0};
    assert_err(spec_parse(STR(REQUIRED "bridge a\0b\n"), &s, &err), ERR_INVALID);
}

/* ---- status ---- */

static void status_leaves_out_what_is_not(void **state)
{
    (void)state;
    struct status s = {.state = "starting", .since = 7, .exit = -1};
    _cleanup_(buf_release) struct buf b = BUF_INIT;
    status_format(&s, &b);
    assert_string_equal(b.ptr, "state starting\nsince 7\nrestarts 0\n");
    s = (struct status){.state = "crashed",
                        .pid = 3,
                        .since = 7,
                        .started = 5,
                        .restarts = 2,
                        .exit = 0,
                        .reason = "why not",
                        .next = 9};
    buf_reset(&b);
    status_format(&s, &b);
    assert_string_equal(b.ptr, "state crashed\nsince 7\nrestarts 2\npid 3\nstarted 5\nexit 0\n"
                               "reason why not\nnext 9\n");
}

/* ---- policy ---- */

enum { GRACE_MS = 5000, NOW = 1000000 };

/* One step from `state`: where it leads, what is done, and when it is woken (0: not). */
struct step {
    enum shim_state from;
    enum shim_event event;
    enum shim_state to;
    enum shim_action action;
    int64_t wake_ms;
};

#define KEPT 77 /* what the wake time is before each step */

static void policy_goes_by_its_table(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {SHIM_STARTING, SHIM_STARTED, SHIM_RUNNING, SHIM_NOTHING, 0},
        {SHIM_STARTING, SHIM_GONE, SHIM_CRASHED, SHIM_NOTHING, NOW},
        {SHIM_STARTING, SHIM_TERM, SHIM_ABORTING, SHIM_NOTHING, NOW + GRACE_MS},
        {SHIM_STARTING, SHIM_RESTART, SHIM_STARTING, SHIM_NOTHING, KEPT},
        {SHIM_STARTING, SHIM_TIMEOUT, SHIM_STARTING, SHIM_KILL, 0},
        {SHIM_RUNNING, SHIM_GONE, SHIM_CRASHED, SHIM_NOTHING, NOW},
        {SHIM_RUNNING, SHIM_TERM, SHIM_STOPPING, SHIM_SIGNAL, NOW + GRACE_MS},
        {SHIM_RUNNING, SHIM_RESTART, SHIM_CYCLING, SHIM_SIGNAL, NOW + GRACE_MS},
        {SHIM_ABORTING, SHIM_STARTED, SHIM_STOPPING, SHIM_SIGNAL, NOW + GRACE_MS},
        {SHIM_ABORTING, SHIM_GONE, SHIM_STOPPED, SHIM_NOTHING, 0},
        {SHIM_ABORTING, SHIM_TERM, SHIM_ABORTING, SHIM_NOTHING, KEPT},
        {SHIM_ABORTING, SHIM_TIMEOUT, SHIM_ABORTING, SHIM_KILL, 0},
        {SHIM_STOPPING, SHIM_GONE, SHIM_STOPPED, SHIM_NOTHING, 0},
        {SHIM_STOPPING, SHIM_TERM, SHIM_STOPPING, SHIM_NOTHING, KEPT},
        {SHIM_STOPPING, SHIM_RESTART, SHIM_STOPPING, SHIM_NOTHING, KEPT},
        {SHIM_STOPPING, SHIM_TIMEOUT, SHIM_STOPPING, SHIM_KILL, 0},
        {SHIM_CYCLING, SHIM_GONE, SHIM_STARTING, SHIM_START, NOW + POLICY_START_MS},
        {SHIM_CYCLING, SHIM_TERM, SHIM_STOPPING, SHIM_NOTHING, KEPT},
        {SHIM_CYCLING, SHIM_RESTART, SHIM_CYCLING, SHIM_NOTHING, KEPT},
        {SHIM_CYCLING, SHIM_TIMEOUT, SHIM_CYCLING, SHIM_KILL, 0},
        {SHIM_CRASHED, SHIM_TERM, SHIM_STOPPED, SHIM_NOTHING, 0},
        {SHIM_CRASHED, SHIM_RESTART, SHIM_STARTING, SHIM_START, NOW + POLICY_START_MS},
        {SHIM_CRASHED, SHIM_TIMEOUT, SHIM_STARTING, SHIM_START, NOW + POLICY_START_MS},
        {SHIM_STOPPED, SHIM_TERM, SHIM_STOPPED, SHIM_NOTHING, KEPT},
        {SHIM_STOPPED, SHIM_RESTART, SHIM_STOPPED, SHIM_NOTHING, KEPT},
        {SHIM_STOPPED, SHIM_GONE, SHIM_STOPPED, SHIM_NOTHING, KEPT},
    };
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        const struct step *s = &steps[i];
        struct policy p = {
            .restart = true, .grace_ms = GRACE_MS, .state = s->from, .wake_ms = KEPT};
        enum shim_action action = policy_step(&p, s->event, NOW);
        if (p.state != s->to || action != s->action || p.wake_ms != s->wake_ms)
            fail_msg("step %zu: state %d, action %d, wake %lld", i, p.state, action,
                     (long long)p.wake_ms);
    }
}

static void once_stopped_nothing_starts_it(void **state)
{
    (void)state;
    for (int e = 0; e < SHIM_EVENTS; e++) {
        struct policy p = {.restart = true, .state = SHIM_STOPPED};
        assert_int_equal(policy_step(&p, (enum shim_event)e, NOW), SHIM_NOTHING);
        assert_int_equal(p.state, SHIM_STOPPED);
    }
}

/* Whatever happens before and after: SIGTERM leads to the end, with a SIGKILL on the way. */
static void sigterm_always_ends_it(void **state)
{
    (void)state;
    for (int from = SHIM_STARTING; from < SHIM_STATES; from++) {
        struct policy p = {
            .restart = true, .grace_ms = 1, .state = (enum shim_state)from, .wake_ms = 1};
        policy_step(&p, SHIM_TERM, NOW);
        bool killed = p.state == SHIM_STOPPED;
        for (int i = 0; i < 3 && p.state != SHIM_STOPPED; i++) {
            if (p.wake_ms)
                killed |= policy_step(&p, SHIM_TIMEOUT, NOW + i) == SHIM_KILL;
            policy_step(&p, SHIM_RESTART, NOW + i);
            policy_step(&p, SHIM_GONE, NOW + i);
        }
        assert_true(killed);
        assert_int_equal(p.state, SHIM_STOPPED);
    }
}

static void pauses_double_up_to_a_minute(void **state)
{
    (void)state;
    static const int64_t seconds[] = {0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60};
    for (unsigned i = 0; i < ARRAY_LEN(seconds); i++)
        assert_int_equal(policy_pause_ms(i), seconds[i] * 1000);
    assert_int_equal(policy_pause_ms(4000000000), 60000);
}

static void crash(struct policy *p, int64_t *now, int64_t ran_ms)
{
    assert_int_equal(policy_step(p, SHIM_STARTED, *now), SHIM_NOTHING);
    *now += ran_ms;
    policy_step(p, SHIM_GONE, *now);
    assert_int_equal(p->state, SHIM_CRASHED);
}

static void restart(struct policy *p, int64_t *now, int64_t pause_ms)
{
    assert_int_equal(p->wake_ms, *now + pause_ms);
    *now = p->wake_ms;
    assert_int_equal(policy_step(p, SHIM_TIMEOUT, *now), SHIM_START);
}

static void a_minute_of_health_forgives(void **state)
{
    (void)state;
    struct policy p;
    int64_t now = NOW;
    policy_init(&p, true, GRACE_MS, now);
    crash(&p, &now, 10);
    restart(&p, &now, 0);
    crash(&p, &now, 59999);
    restart(&p, &now, 1000);
    crash(&p, &now, 60000);
    restart(&p, &now, 0);
    crash(&p, &now, 10);
    restart(&p, &now, 1000);
    /* A start that fails never was healthy, however long it took. */
    now += 100000;
    policy_step(&p, SHIM_GONE, now);
    restart(&p, &now, 2000);
}

static void without_restart_the_first_end_is_the_last(void **state)
{
    (void)state;
    struct policy p;
    policy_init(&p, false, GRACE_MS, NOW);
    policy_step(&p, SHIM_STARTED, NOW);
    assert_int_equal(policy_step(&p, SHIM_GONE, NOW), SHIM_NOTHING);
    assert_int_equal(p.state, SHIM_STOPPED);
    assert_int_equal(p.wake_ms, 0);
    policy_init(&p, false, GRACE_MS, NOW);
    policy_step(&p, SHIM_GONE, NOW);
    assert_int_equal(p.state, SHIM_STOPPED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spec_is_read),
        cmocka_unit_test(spec_has_defaults),
        cmocka_unit_test(spec_names_what_is_wrong),
        cmocka_unit_test(spec_refuses_nul),
        cmocka_unit_test(status_leaves_out_what_is_not),
        cmocka_unit_test(policy_goes_by_its_table),
        cmocka_unit_test(once_stopped_nothing_starts_it),
        cmocka_unit_test(sigterm_always_ends_it),
        cmocka_unit_test(pauses_double_up_to_a_minute),
        cmocka_unit_test(a_minute_of_health_forgives),
        cmocka_unit_test(without_restart_the_first_end_is_the_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
