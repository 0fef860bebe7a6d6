/* The operator: looks at /builds/ and /apps/, plans, and has workers do the builds. */
#include <signal.h>
#include <sys/eventfd.h>

#include "base/log.h"
#include "base/time.h"
#include "build/build.h"
#include "build/firewall.h"
#include "build/housekeeping.h"
#include "build/plan.h"
#include "build/refresher.h"
#include "build/release.h"
#include "operator/current.h"
#include "os/file.h"

/* A build that a worker does or has done. */
struct job {
    struct job *next;
    struct builder *builder;
    struct job_input in;
    struct job_result result;
    struct cancel cancel;
    volatile bool cancelled;
    bool done;
    int64_t started; /* mono ms */
    uv_work_t work;
};

struct builder {
    struct operator* op;
    const struct config *config;
    struct image_store *images;
    struct job *jobs;
    size_t apps; /* how many there were at the last pass */
    struct chores chores;
    int64_t chores_due;            /* mono ms; INT64_MAX: nothing to tidy up */
    bool chores_run, chores_again; /* again: once what is young now has passed its grace */
    uv_work_t chores_work;
    struct refresher refresher;
};

/* --- jobs ------------------------------------------------------------------------------------ */

static struct job *find_job(const struct builder *b, const char *id)
{
    for (struct job *j = b->jobs; j; j = j->next)
        if (streq(j->in.build.id, id))
            return j;
    return NULL;
}

static void on_work(uv_work_t *work)
{
    struct job *j = work->data;
    job_run(j->builder->config, j->builder->images, &j->in, &j->cancel, &j->result);
}

static void on_done(uv_work_t *work, int status)
{
    (void)status;
    struct job *j = work->data;
    j->done = true;
    log_info("build %s of %s %s after %lld ms", j->in.build.id, j->in.build.app,
             build_state_names[j->result.state], (long long)(time_mono_ms() - j->started));
    operator_poke(j->builder->op);
}

static void start_job(struct builder *b, const struct build *build)
{
    struct job *j = xcalloc(1, sizeof(*j));
    const struct config_vars *vars = current_config(operator_mirror(b->op), build->app, NULL);
    j->builder = b;
    j->started = time_mono_ms();
    model_copy(&build_schema, build, &j->in.build);
    if (vars)
        map_copy(&j->in.vars, &vars->vars);
    j->cancel = (struct cancel){eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), &j->cancelled};
    j->work.data = j;
    j->next = b->jobs;
    b->jobs = j;
    uv_queue_work(operator_loop(b->op), &j->work, on_work, on_done);
    build_state_put(b->op, build->id, BUILD_RUNNING, NULL);
}

static void stop_job(struct job *j)
{
    j->cancelled = true;
    if (eventfd_write(j->cancel.fd, 1) < 0)
        log_error("cancelling build %s: %s", j->in.build.id, strerror(errno));
}

static void forget_job(struct builder *b, struct job *gone)
{
    struct job **at = &b->jobs;
    while (*at != gone)
        at = &(*at)->next;
    *at = gone->next;
    closep(&gone->cancel.fd);
    job_input_release(&gone->in);
    job_result_release(&gone->result);
    free(gone);
}

/* --- tidying up ------------------------------------------------------------------------------ */

static void on_chores(uv_work_t *work)
{
    struct builder *b = work->data;
    chores_do(b->config, b->images, &b->chores);
}

static void on_chores_done(uv_work_t *work, int status)
{
    (void)status;
    struct builder *b = work->data;
    chores_release(&b->chores);
    b->chores_run = false;
    operator_poke(b->op);
}

static void want_chores(struct builder *b, int64_t now, int64_t delay)
{
    b->chores_due = MIN(b->chores_due, now + delay);
}

/* An app that is gone leaves its cache and its images. */
static void look_for_destroyed(struct builder *b, int64_t now)
{
    size_t n = 0;
    struct str parts[1];
    for (struct mirror_iter i = mirror_iter(operator_mirror(b->op), "/apps/"); mirror_next(&i);)
        n += key_match(i.key, "/apps/?", parts);
    if (n < b->apps)
        want_chores(b, now, DESTROYED_DELAY_MS);
    b->apps = n;
}

/* A build holds layers that no image names yet, and no release its image, for as long as it takes.
 */
static int64_t layer_grace(const struct builder *b, int64_t now)
{
    int64_t first = now;
    for (const struct job *j = b->jobs; j; j = j->next)
        first = MIN(first, j->started);
    return (now - first) / 1000 + LAYER_GRACE_S;
}

static void tidy_up(struct builder *b, int64_t now)
{
    struct err err;
    look_for_destroyed(b, now);
    if (b->chores_due == INT64_MAX || b->chores_run)
        return;
    if (now < b->chores_due)
        return operator_wake_at(b->op, b->chores_due);
    b->chores_due = b->chores_again ? now + LAYER_GRACE_S * 1000 + 5000 : INT64_MAX;
    b->chores_again = false;
    if (chores_gather(b->op, &b->chores, &err) < 0) {
        log_warning("tidying up: %s", err.msg);
        return chores_release(&b->chores);
    }
    b->chores.grace_s = layer_grace(b, now);
    b->chores_run = true;
    b->chores_work.data = b;
    uv_queue_work(operator_loop(b->op), &b->chores_work, on_chores, on_chores_done);
}

/* --- a pass ---------------------------------------------------------------------------------- */

/* The two watches are apart: an app may be in the store before it is in the mirror. */
static bool app_exists(struct operator* op, const char *app)
{
    _cleanup_free_ char *key = key_app(app);
    _cleanup_(kv_release) struct kv kv = {0};
    return mirror_get(operator_mirror(op), key, &app_schema, NULL) ||
           store_get(operator_store(op), key, &kv, NULL) == 0;
}

static struct candidate candidate_of(struct builder *b, const struct build *build)
{
    _cleanup_free_ char *key = key_build_status(build->id);
    const struct build_status *s =
        mirror_get(operator_mirror(b->op), key, &build_status_schema, NULL);
    const struct job *j = find_job(b, build->id);
    struct candidate c = {.id = build->id,
                          .app = build->app,
                          .state = s ? s->state : BUILD_QUEUED,
                          .cancel = build->cancel,
                          .job = !j        ? JOB_NONE
                                 : j->done ? JOB_DONE
                                           : JOB_RUNNING};
    bool open = c.state == BUILD_QUEUED || c.state == BUILD_RUNNING;
    c.app_exists = !open || app_exists(b->op, build->app);
    return c;
}

/* Ends a build that no worker has. */
static void give_up(struct builder *b, const struct build *build, enum build_state state,
                    const char *why)
{
    if (build->archive && *build->archive)
        unlink(build->archive);
    build_state_put(b->op, build->id, state, why);
}

static void act(struct builder *b, const struct build *build, const struct candidate *c,
                enum build_action action)
{
    struct job *j = find_job(b, build->id);
    switch (action) {
    case BUILD_WAIT: break;
    case BUILD_START: start_job(b, build); break;
    case BUILD_STOP: stop_job(j); break;
    case BUILD_COMMIT: release_commit(b->op, build, &j->result); break;
    case BUILD_FORGET:
        forget_job(b, j);
        want_chores(b, time_mono_ms(), HOUSEKEEPING_DELAY_MS);
        b->chores_again = true;
        break;
    case BUILD_REFUSE:
        give_up(b, build, build->cancel ? BUILD_CANCELLED : BUILD_FAILED,
                c->app_exists ? NULL : "the app was destroyed");
        break;
    case BUILD_LOST:
        give_up(b, build, BUILD_FAILED, "the platform was restarted meanwhile; push again");
        break;
    }
}

static void reconcile(struct operator* op, void *ctx, int64_t now)
{
    struct builder *b = ctx;
    size_t n = 0, size = 64;
    const struct build **builds = xcalloc(size, sizeof(*builds));
    struct str parts[1];
    for (struct mirror_iter i = mirror_iter(operator_mirror(op), "/builds/"); mirror_next(&i);) {
        const struct build *build;
        if (!key_match(i.key, "/builds/?", parts) || !(build = mirror_value(&i, &build_schema)))
            continue;
        if (n == size)
            builds = xrealloc(builds, (size *= 2) * sizeof(*builds));
        builds[n++] = build;
    }
    struct candidate *candidates = xcalloc(MAX(n, (size_t)1), sizeof(*candidates));
    enum build_action *actions = xcalloc(MAX(n, (size_t)1), sizeof(*actions));
    for (size_t i = 0; i < n; i++)
        candidates[i] = candidate_of(b, builds[i]);
    build_plan(candidates, n, actions);
    for (size_t i = 0; i < n; i++)
        act(b, builds[i], &candidates[i], actions[i]);
    free(actions);
    free(candidates);
    free(builds);
    tidy_up(b, now);
    refresher_pass(&b->refresher, now);
}

/* --- life ------------------------------------------------------------------------------------ */

static int start(struct operator* op, void *ctx, struct err *err)
{
    struct builder *b = ctx;
    _cleanup_free_ char *dir = path_join(b->config->state, "images");
    b->op = op;
    b->chores_due = time_mono_ms() + HOUSEKEEPING_DELAY_MS;
    b->chores_again = true;
    container_clean(b->config);
    int r = firewall_set(b->config, err);
    if (r < 0)
        return r;
    r = image_store_open(dir, (uid_t)b->config->uid_base, &b->images, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *authfile = path_join(b->config->etc, "registries.json");
    image_store_authfile(b->images, authfile);
    refresher_init(&b->refresher, op, b->images);
    return image_store_clean(b->images, err);
}

/* Whoever works on something is told: the process ends when all of them have. */
static void stop(struct operator* op, void *ctx)
{
    (void)op;
    struct builder *b = ctx;
    for (struct job *j = b->jobs; j; j = j->next)
        if (!j->done)
            stop_job(j);
    refresher_stop(&b->refresher);
}

int build_teardown(const struct config *c, struct err *err)
{
    container_clean(c);
    return firewall_remove(c, err);
}

int build_main(const struct config *c)
{
    static const char *const prefixes[] = {"/apps/", "/builds/", "/stacks/", NULL};
    struct builder b = {.config = c};
    const struct operator_desc desc = {.name = "build",
                                       .prefixes = prefixes,
                                       .start = start,
                                       .reconcile = reconcile,
                                       .stop = stop};
    return operator_run(&desc, c, &b);
}
