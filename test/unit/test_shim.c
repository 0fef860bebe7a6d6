#include "cm.h"

#include "shim/policy.h"

/* ---- policy ---- */

enum { GRACE_MS = 5000, NOW = 1000000 };

/* One step from `state`: where it leads, what is done, and when it is woken (0: not). */
struct step {
    enum policy_state from;
    enum policy_event event;
    enum policy_state to;
    enum policy_action action;
    int64_t wake_ms;
};

#define KEPT 77 /* what the wake time is before each step */

static void policy_goes_by_its_table(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {POLICY_STARTING, POLICY_STARTED, POLICY_RUNNING, POLICY_NOTHING, 0},
        {POLICY_STARTING, POLICY_GONE, POLICY_CRASHED, POLICY_NOTHING, NOW},
        {POLICY_STARTING, POLICY_TERM, POLICY_ABORTING, POLICY_NOTHING, NOW + GRACE_MS},
        {POLICY_STARTING, POLICY_RESTART, POLICY_STARTING, POLICY_NOTHING, KEPT},
        {POLICY_STARTING, POLICY_TIMEOUT, POLICY_STARTING, POLICY_KILL, 0},
        {POLICY_RUNNING, POLICY_GONE, POLICY_CRASHED, POLICY_NOTHING, NOW},
        {POLICY_RUNNING, POLICY_TERM, POLICY_STOPPING, POLICY_SIGNAL, NOW + GRACE_MS},
        {POLICY_RUNNING, POLICY_RESTART, POLICY_CYCLING, POLICY_SIGNAL, NOW + GRACE_MS},
        {POLICY_ABORTING, POLICY_STARTED, POLICY_STOPPING, POLICY_SIGNAL, NOW + GRACE_MS},
        {POLICY_ABORTING, POLICY_GONE, POLICY_STOPPED, POLICY_NOTHING, 0},
        {POLICY_ABORTING, POLICY_TERM, POLICY_ABORTING, POLICY_NOTHING, KEPT},
        {POLICY_ABORTING, POLICY_TIMEOUT, POLICY_ABORTING, POLICY_KILL, 0},
        {POLICY_STOPPING, POLICY_GONE, POLICY_STOPPED, POLICY_NOTHING, 0},
        {POLICY_STOPPING, POLICY_TERM, POLICY_STOPPING, POLICY_NOTHING, KEPT},
        {POLICY_STOPPING, POLICY_RESTART, POLICY_STOPPING, POLICY_NOTHING, KEPT},
        {POLICY_STOPPING, POLICY_TIMEOUT, POLICY_STOPPING, POLICY_KILL, 0},
        {POLICY_CYCLING, POLICY_GONE, POLICY_STARTING, POLICY_START, NOW + POLICY_START_MS},
        {POLICY_CYCLING, POLICY_TERM, POLICY_STOPPING, POLICY_NOTHING, KEPT},
        {POLICY_CYCLING, POLICY_RESTART, POLICY_CYCLING, POLICY_NOTHING, KEPT},
        {POLICY_CYCLING, POLICY_TIMEOUT, POLICY_CYCLING, POLICY_KILL, 0},
        {POLICY_CRASHED, POLICY_TERM, POLICY_STOPPED, POLICY_NOTHING, 0},
        {POLICY_CRASHED, POLICY_RESTART, POLICY_STARTING, POLICY_START, NOW + POLICY_START_MS},
        {POLICY_CRASHED, POLICY_TIMEOUT, POLICY_STARTING, POLICY_START, NOW + POLICY_START_MS},
        {POLICY_STOPPED, POLICY_TERM, POLICY_STOPPED, POLICY_NOTHING, KEPT},
        {POLICY_STOPPED, POLICY_RESTART, POLICY_STOPPED, POLICY_NOTHING, KEPT},
        {POLICY_STOPPED, POLICY_GONE, POLICY_STOPPED, POLICY_NOTHING, KEPT},
    };
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        const struct step *s = &steps[i];
        struct policy p = {
            .restart = true, .grace_ms = GRACE_MS, .state = s->from, .wake_ms = KEPT};
        enum policy_action action = policy_step(&p, s->event, NOW);
        if (p.state != s->to || action != s->action || p.wake_ms != s->wake_ms)
            fail_msg("step %zu: state %d, action %d, wake %lld", i, p.state, action,
                     (long long)p.wake_ms);
    }
}

static void once_stopped_nothing_starts_it(void **state)
{
    (void)state;
    for (int e = 0; e < POLICY_EVENTS; e++) {
        struct policy p = {.restart = true, .state = POLICY_STOPPED};
        assert_int_equal(policy_step(&p, (enum policy_event)e, NOW), POLICY_NOTHING);
        assert_int_equal(p.state, POLICY_STOPPED);
    }
}

/* Whatever happens before and after: SIGTERM leads to the end, with a SIGKILL on the way. */
static void sigterm_always_ends_it(void **state)
{
    (void)state;
    for (int from = POLICY_STARTING; from < POLICY_STATES; from++) {
        struct policy p = {
            .restart = true, .grace_ms = 1, .state = (enum policy_state)from, .wake_ms = 1};
        policy_step(&p, POLICY_TERM, NOW);
        bool killed = p.state == POLICY_STOPPED;
        for (int i = 0; i < 3 && p.state != POLICY_STOPPED; i++) {
            if (p.wake_ms)
                killed |= policy_step(&p, POLICY_TIMEOUT, NOW + i) == POLICY_KILL;
            policy_step(&p, POLICY_RESTART, NOW + i);
            policy_step(&p, POLICY_GONE, NOW + i);
        }
        assert_true(killed);
        assert_int_equal(p.state, POLICY_STOPPED);
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
    assert_int_equal(policy_step(p, POLICY_STARTED, *now), POLICY_NOTHING);
    *now += ran_ms;
    policy_step(p, POLICY_GONE, *now);
    assert_int_equal(p->state, POLICY_CRASHED);
}

static void restart(struct policy *p, int64_t *now, int64_t pause_ms)
{
    assert_int_equal(p->wake_ms, *now + pause_ms);
    *now = p->wake_ms;
    assert_int_equal(policy_step(p, POLICY_TIMEOUT, *now), POLICY_START);
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
    policy_step(&p, POLICY_GONE, now);
    restart(&p, &now, 2000);
}

static void without_restart_the_first_end_is_the_last(void **state)
{
    (void)state;
    struct policy p;
    policy_init(&p, false, GRACE_MS, NOW);
    policy_step(&p, POLICY_STARTED, NOW);
    assert_int_equal(policy_step(&p, POLICY_GONE, NOW), POLICY_NOTHING);
    assert_int_equal(p.state, POLICY_STOPPED);
    assert_int_equal(p.wake_ms, 0);
    policy_init(&p, false, GRACE_MS, NOW);
    policy_step(&p, POLICY_GONE, NOW);
    assert_int_equal(p.state, POLICY_STOPPED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policy_goes_by_its_table),
        cmocka_unit_test(once_stopped_nothing_starts_it),
        cmocka_unit_test(sigterm_always_ends_it),
        cmocka_unit_test(pauses_double_up_to_a_minute),
        cmocka_unit_test(a_minute_of_health_forgives),
        cmocka_unit_test(without_restart_the_first_end_is_the_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
