/* release's plan as a table (test_plan_fixture.h has the words): what was asked for, what the
 * engine says → what becomes of releases, then all the rollouts that should be. */
#include "test_plan_fixture.h"

#include "release/plan.h"

struct scene {
    const char *what, *desired, *processes, *releases, *rollouts, *verdicts, *expect;
};

static void say_verdicts(const struct decision *d, struct buf *b)
{
    for (size_t i = 0; i < d->n_verdicts; i++) {
        const struct verdict *v = &d->verdicts[i];
        buf_addf(b, "%sv%ld %s%s%s", i ? ", " : "", v->release, release_state_names[v->state],
                 v->reason ? ": " : "", v->reason ? v->reason : "");
    }
}

/* By number. */
static void say_rollouts(const struct decision *d, struct buf *b)
{
    bool swap = d->n_rollouts == 2 && d->rollouts[0].release > d->rollouts[1].release;
    for (size_t i = 0; i < d->n_rollouts; i++)
        say_rollout(&d->rollouts[swap ? 1 - i : i], b);
}

static bool differs(const struct scene *s, const char *what, const struct buf *said,
                    const char *expected)
{
    if (str_eq(buf_str(said), str_of(expected)))
        return false;
    print_error("%s\n  expected %s: %s\n  decided: %s\n", s->what, what, expected,
                said->ptr ? said->ptr : "");
    return true;
}

static bool wrong(const struct scene *s)
{
    struct scene_models models;
    struct decision d = {0};
    _cleanup_(buf_release) struct buf verdicts = BUF_INIT, rollouts = BUF_INIT;
    scene_parse(s->desired, s->processes, s->releases, s->rollouts, &models);
    const struct release_input in = {.desired = &models.desired,
                                     .releases = models.seen,
                                     .n_releases = models.n_releases,
                                     .rollouts = models.rolled,
                                     .n_rollouts = models.n_rollouts};
    release_decide(&in, &d);
    say_verdicts(&d, &verdicts);
    say_rollouts(&d, &rollouts);
    decision_release(&d);
    scene_release(&models);
    bool w = differs(s, "verdicts", &verdicts, s->verdicts);
    return differs(s, "rollouts", &rollouts, s->expect) || w;
}

static const struct scene scenes[] = {
    {"nothing was ever deployed", "v0 g0", NULL, "", "", "", ""},
    {"the first release starts its default formation", "v1 g0", "web=1 worker=0", "v1 pending", "",
     "v1 starting", "v1 starting g0 web=1 worker=0"},
    {"a formation overrides the defaults", "v1 g0 web=2 worker=1", "web=1 worker=0", "v1 starting",
     "v1 starting g0 web=1 worker=0", "", "v1 starting g0 web=2 worker=1"},
    {"all it asks for is ready: live", "v1 g0", NULL, "v1 starting", "v1 starting g0 web=1 web:1",
     "v1 live", "v1 live g0 web=1"},
    {"a release waits for all its types", "v1 g0 worker=1", "web=1 worker=0", "v1 starting",
     "v1 starting g0 web=1 worker=1 web:1", "", "v1 starting g0 web=1 worker=1"},
    {"nothing to run is live at once", "v1 g0 web=0", NULL, "v1 pending", "", "v1 live",
     "v1 live g0 web=0"},
    {"a live release that is whole: nothing", "v1 g0", NULL, "v1 live", "v1 live g0 web=1", "",
     "v1 live g0 web=1"},
    {"a new release starts beside the old one", "v2 g0", NULL, "v1 live, v2 pending",
     "v1 live g0 web=1", "v2 starting", "v1 live g0 web=1, v2 starting g0 web=1"},
    {"the old one serves until all new ones are ready", "v2 g0 web=2", NULL, "v1 live, v2 starting",
     "v1 live g0 web=2, v2 starting g0 web=2 web:1", "", "v1 live g0 web=2, v2 starting g0 web=2"},
    {"then it goes", "v2 g0", NULL, "v1 live, v2 starting",
     "v1 live g0 web=1, v2 starting g0 web=1 web:1", "v2 live, v1 superseded", "v2 live g0 web=1"},
    {"scaled up", "v1 g0 web=3", NULL, "v1 live", "v1 live g0 web=1 web:1", "", "v1 live g0 web=3"},
    {"scaled to zero", "v1 g0 web=0", NULL, "v1 live", "v1 live g0 web=1 web:1", "",
     "v1 live g0 web=0"},
    {"restart: a new generation of the live one", "v1 g1", NULL, "v1 live",
     "v1 live g0 web=1 web:1", "", "v1 live g1 web=1"},
    {"restart during a rollout is of the new release", "v2 g1", NULL, "v1 live, v2 starting",
     "v1 live g0 web=1, v2 starting g0 web=1", "", "v1 live g0 web=1, v2 starting g1 web=1"},
    {"it will never be ready: failed, the old one stays", "v2 g0", NULL, "v1 live, v2 starting",
     "v1 live g0 web=1, v2 starting g0 web=1 failed",
     "v2 failed: web.1 exited at boot with status 1", "v1 live g0 web=1, v2 going g0"},
    {"after a failure the live one has all that was asked for", "v2 g0 web=2", NULL,
     "v1 live, v2 failed", "v1 live g0 web=1, v2 going", "", "v1 live g0 web=2, v2 going g0"},
    {"after a failure scaling applies to the live one", "v2 g0 web=1", NULL, "v1 live, v2 failed",
     "v1 live g0 web=2, v2 going", "", "v1 live g0 web=1, v2 going g0"},
    {"after a failure a restart applies to the live one", "v2 g1", NULL, "v1 live, v2 failed",
     "v1 live g0 web=1, v2 going", "", "v1 live g1 web=1, v2 going g0"},
    {"the first deploy failed: nothing runs", "v1 g0", NULL, "v1 failed", "v1 going", "",
     "v1 going g0"},
    {"a later release overtakes one under way", "v3 g0", NULL, "v1 live, v2 starting, v3 pending",
     "v1 live g0 web=1, v2 starting g0 web=1 web:1", "v2 superseded, v3 starting",
     "v1 live g0 web=1, v3 starting g0 web=1"},
    {"superseded releases stay so", "v3 g0", NULL, "v1 superseded, v2 failed, v3 live",
     "v3 live g0 web=1", "", "v3 live g0 web=1"},
    {"release phase first", "v1 g0", "web=1 release=0", "v1 pending", "", "v1 preparing",
     "v1 preparing g0 release=1"},
    {"release phase runs: nothing else starts", "v2 g0", "web=1 release=0", "v1 live, v2 preparing",
     "v1 live g0 web=1, v2 preparing g0 release=1", "",
     "v1 live g0 web=1, v2 preparing g0 release=1"},
    {"release phase done: the release starts", "v1 g0", "web=1 release=0", "v1 preparing",
     "v1 preparing g0 release=1 release/0", "v1 starting", "v1 starting g0 web=1"},
    {"release phase fails: so does the release", "v2 g0", "web=1 release=0",
     "v1 live, v2 preparing", "v1 live g0 web=1, v2 preparing g0 release=1 release/3 failed",
     "v2 failed: web.1 exited at boot with status 1", "v1 live g0 web=1, v2 going g0"},
    {"release phase overtaken: gone", "v2 g0", "web=1 release=0", "v1 preparing, v2 pending",
     "v1 preparing g0 release=1", "v1 superseded, v2 preparing", "v2 preparing g0 release=1"},
    {"no formation can run a release phase twice", "v1 g0 release=3", "web=1 release=0", "v1 live",
     "v1 live g0 web=1", "", "v1 live g0 web=1"},
    {"postdeploy runs once its release is live", "v1 g0", "web=1 postdeploy=0", "v1 starting",
     "v1 starting g0 web=1 web:1", "v1 live", "v1 live g0 web=1 postdeploy=1"},
    {"… whatever else is asked for", "v1 g1 web=2", "web=1 postdeploy=0", "v1 live",
     "v1 live g0 web=1 postdeploy=1", "", "v1 live g1 web=2 postdeploy=1"},
    {"what is said of the rollout before the restart doesn't count", "v1 g1", NULL, "v1 starting",
     "v1 starting g1 web=1 web:1 stale", "", "v1 starting g1 web=1"},
    {"… nor of fewer instances", "v1 g0 web=2", NULL, "v1 starting", "v1 starting g0 web=1 web:1",
     "", "v1 starting g0 web=2"},
    {"… nor a failure", "v1 g1", NULL, "v1 starting", "v1 starting g1 web=1 failed stale", "",
     "v1 starting g1 web=1"},
    {"a live release is not failed by what its engine says", "v1 g0", NULL, "v1 live",
     "v1 live g0 web=1 web:0", "", "v1 live g0 web=1"},
    {"scaling during a rollout leaves the old one as it is", "v2 g0 web=3", NULL,
     "v1 live, v2 starting", "v1 live g0 web=1, v2 starting g0 web=1", "",
     "v1 live g0 web=1, v2 starting g0 web=3"},
    {"a restart during a release phase doesn't run it again", "v1 g1", "web=1 release=0",
     "v1 preparing", "v1 preparing g0 release=1", "", "v1 preparing g0 release=1"},
    {"release phase of which nobody knows how it ended: waits", "v1 g0", "web=1 release=0",
     "v1 preparing", "v1 preparing g0 release=1 release/-1", "", "v1 preparing g0 release=1"},
    {"nothing to run after a release phase", "v1 g0 web=0", "web=1 release=0", "v1 preparing",
     "v1 preparing g0 release=1 release/0", "v1 live", "v1 live g0 web=0"},
    {"killed before it was live: live now", "v2 g0", NULL, "v1 live, v2 starting",
     "v1 live g0 web=1, v2 starting g0 web=1 web:1", "v2 live, v1 superseded", "v2 live g0 web=1"},
    {"a store without rollouts: the live one gets its own, postdeploy is not run again",
     "v1 g2 web=2", "web=1 postdeploy=0", "v1 live", "", "", "v1 live g2 web=2"},
    {"… in the middle of a rollout both do", "v2 g0", NULL, "v1 live, v2 starting", "", "",
     "v1 live g0 web=1, v2 starting g0 web=1"},
    {"… in a release phase", "v2 g0", "web=1 release=0", "v1 live, v2 preparing", "", "",
     "v1 live g0 web=1, v2 preparing g0 release=1"},
    {"… after a failure", "v2 g0", NULL, "v1 live, v2 failed", "", "",
     "v1 live g0 web=1, v2 going g0"},
    {"rollouts of what was superseded go", "v3 g0", NULL, "v1 superseded, v2 superseded, v3 live",
     "v1 live g0 web=1, v2 going, v3 live g0 web=1", "", "v3 live g0 web=1"},
    {"a failed release's rollout goes with the next one", "v3 g0", NULL,
     "v1 live, v2 failed, v3 pending", "v1 live g0 web=1, v2 going", "v3 starting",
     "v1 live g0 web=1, v3 starting g0 web=1"},
};

static void every_scene(void **state)
{
    (void)state;
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(scenes); i++)
        n += wrong(&scenes[i]);
    assert_int_equal(n, 0);
}

static void the_log_lines_of_a_failure_go_with_it(void **state)
{
    (void)state;
    struct scene_models models;
    struct decision d = {0};
    scene_parse("v1 g0", NULL, "v1 starting", "v1 starting g0 web=1 failed", &models);
    const struct release_input in = {.desired = &models.desired,
                                     .releases = models.seen,
                                     .n_releases = models.n_releases,
                                     .rollouts = models.rolled,
                                     .n_rollouts = models.n_rollouts};
    release_decide(&in, &d);
    assert_int_equal(d.n_verdicts, 1);
    assert_ptr_equal(d.verdicts[0].from, &models.statuses[0]);
    decision_release(&d);
    scene_release(&models);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_scene),
        cmocka_unit_test(the_log_lines_of_a_failure_go_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
