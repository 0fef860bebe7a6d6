/* The operator: looks at /builds/ and /apps/, plans, and has workers do the builds. */
#include <signal.h>
#include <sys/eventfd.h>

#include "base/log.h"
#include "base/time.h"
#include "builder/builder.h"
#include "builder/firewall.h"
#include "builder/folder.h"
#include "builder/housekeeping.h"
#include "builder/plan.h"
#include "builder/refresher.h"
#include "builder/release.h"
#include "operator/current.h"
#include "operator/remains.h"
#include "os/file.h"

enum { REMAINS_RETRY_MS = 30000 };

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
    struct op *op;
    const struct config *config;
    struct image_store *images;
    struct job *jobs;
    struct strv open; /* ids of builds that aren't through, and of those with a job */
    struct chores chores;
    int64_t chores_due;           /* mono ms; INT64_MAX: nothing to tidy up */
    bool chores_run, chores_done; /* by a worker, and not settled yet */
    bool chores_again;            /* once what is young now has passed its grace */
    int64_t remains_due;          /* when what failed is tried again */
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
    b->chores_done = true;
    operator_poke(b->op);
}

static void settle_chores(struct builder *b, int64_t now)
{
    for (size_t i = 0; !b->chores.failed && i < b->chores.destroyed.n; i++)
        remains_done(b->op, b->chores.destroyed.items[i], "builder");
    b->remains_due = now + (b->chores.failed ? REMAINS_RETRY_MS : 0);
    chores_release(&b->chores);
    b->chores = (struct chores){0};
    b->chores_run = b->chores_done = false;
}

static void want_chores(struct builder *b, int64_t now, int64_t delay)
{
    b->chores_due = MIN(b->chores_due, now + delay);
}

static bool is_built(const struct builder *b, const char *app)
{
    for (const struct job *j = b->jobs; j; j = j->next)
        if (streq(j->in.build.app, app))
            return true;
    return false;
}

/* Destroyed apps of which nothing is built and nothing runs any more. */
static void find_remains(struct builder *b, struct strv *ret)
{
    _cleanup_(strv_release) struct strv apps = {0};
    remains_of(b->op, "builder", &apps);
    for (size_t i = 0; i < apps.n; i++)
        if (!is_built(b, apps.items[i]) && !remains_left(b->op, apps.items[i], "run"))
            strv_add(ret, apps.items[i]);
}

static void look_for_remains(struct builder *b, int64_t now)
{
    _cleanup_(strv_release) struct strv apps = {0};
    find_remains(b, &apps);
    if (apps.n)
        want_chores(b, MAX(now, b->remains_due), 0);
}

/* A build holds layers that no image names yet, and no release its image, for as long as it takes.
 */
static int64_t build_age_s(const struct builder *b, int64_t now)
{
    int64_t first = now;
    for (const struct job *j = b->jobs; j; j = j->next)
        first = MIN(first, j->started);
    return b->jobs ? (now - first) / 1000 + 1 : 0;
}

static void tidy_up(struct builder *b, int64_t now)
{
    struct err err;
    if (b->chores_done) { /* what that writes makes another pass */
        settle_chores(b, now);
        return operator_poke(b->op);
    }
    if (b->chores_run)
        return;
    look_for_remains(b, now);
    if (b->chores_due == INT64_MAX)
        return;
    if (now < b->chores_due)
        return operator_wake_at(b->op, b->chores_due);
    b->chores_due = b->chores_again ? now + LAYER_GRACE_S * 1000 + 5000 : INT64_MAX;
    b->chores_again = false;
    if (chores_gather(b->op, &b->chores, &err) < 0) {
        log_warning("tidying up: %s", err.msg);
        return chores_release(&b->chores);
    }
    _cleanup_(strv_release) struct strv destroyed = {0};
    find_remains(b, &destroyed);
    for (size_t i = 0; i < destroyed.n; i++)
        chores_add_destroyed(&b->chores, b->op, destroyed.items[i]);
    b->chores.dropped_grace_s = build_age_s(b, now);
    b->chores.grace_s = b->chores.dropped_grace_s + LAYER_GRACE_S;
    b->chores_run = true;
    b->chores_work.data = b;
    uv_queue_work(operator_loop(b->op), &b->chores_work, on_chores, on_chores_done);
}

/* --- a pass ---------------------------------------------------------------------------------- */

static struct candidate candidate_of(struct builder *b, const struct build *build)
{
    _cleanup_free_ char *key = key_build_status(build->id);
    const struct build_status *s =
        mirror_get(operator_mirror(b->op), key, &build_status_schema, NULL);
    const struct job *j = find_job(b, build->id);
    struct candidate c = {.id = build->id,
                          .app = build->app,
                          .state = s ? s->state : BUILD_QUEUED,
                          .cancel = build_unwanted(b->op, build),
                          .job = !j        ? JOB_NONE
                                 : j->done ? JOB_DONE
                                           : JOB_RUNNING};
    _cleanup_free_ char *app = key_app(build->app);
    c.app_exists = mirror_get(operator_mirror(b->op), app, &app_schema, NULL) != NULL;
    return c;
}

/* Ends a build that no worker has. */
static void give_up(struct builder *b, const struct build *build, enum build_state state,
                    const char *why)
{
    if (build->archive && *build->archive)
        folder_forget(b->config, build->id, "source.tar");
    build_state_put(b->op, build->id, state, why);
}

static void let_go_of(struct builder *b, struct job *j)
{
    forget_job(b, j);
    want_chores(b, time_mono_ms(), HOUSEKEEPING_DELAY_MS);
    b->chores_again = true;
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
    case BUILD_FORGET: let_go_of(b, j); break;
    case BUILD_REFUSE:
        give_up(b, build, c->cancel ? BUILD_CANCELLED : BUILD_FAILED,
                c->app_exists ? NULL : "the app was destroyed");
        break;
    case BUILD_LOST:
        give_up(b, build, BUILD_FAILED, "the platform was restarted meanwhile; push again");
        break;
    }
}

/* Builds that went with their app. */
static void tend_orphans(struct builder *b)
{
    for (struct job *j = b->jobs, *next; j; j = next) {
        _cleanup_free_ char *key = key_build(j->in.build.id);
        next = j->next;
        if (mirror_get(operator_mirror(b->op), key, &build_schema, NULL))
            continue;
        if (j->done)
            let_go_of(b, j);
        else if (!j->cancelled)
            stop_job(j);
    }
}

/* The build that a key is of. */
static bool subject(const char *key, struct str *ret)
{
    return key_is(&build_schema, key, ret) || key_is(&build_status_schema, key, ret) ||
           key_is(&leash_schema, key, ret);
}

/* Those with something to decide about, in the order of ids; forgets the others. */
static size_t gather(struct builder *b, const struct build **builds, struct candidate *candidates)
{
    size_t n = 0;
    for (size_t i = 0; i < b->open.n; i++) {
        char *id = b->open.items[i];
        _cleanup_free_ char *key = key_build(id);
        const struct build *build = mirror_get(operator_mirror(b->op), key, &build_schema, NULL);
        if (build)
            candidates[n] = candidate_of(b, build);
        bool again = n && streq(builds[n - 1]->id, id);
        if (!build || again || build_is_over(&candidates[n])) {
            free(id);
            continue;
        }
        builds[n] = build;
        b->open.items[n++] = id;
    }
    return b->open.n = n;
}

static void tend_builds(struct builder *b)
{
    for (const char *id; (id = operator_take(b->op));)
        strv_add(&b->open, id);
    strv_sort(&b->open);
    const struct build **builds = xcalloc(b->open.n + 1, sizeof(*builds));
    struct candidate *candidates = xcalloc(b->open.n + 1, sizeof(*candidates));
    enum build_action *actions = xcalloc(b->open.n + 1, sizeof(*actions));
    size_t n = gather(b, builds, candidates);
    build_plan(candidates, n, actions);
    for (size_t i = 0; i < n; i++)
        act(b, builds[i], &candidates[i], actions[i]);
    free(actions);
    free(candidates);
    free(builds);
}

static void reconcile(struct op *op, void *ctx, int64_t now)
{
    struct builder *b = ctx;
    (void)op;
    tend_builds(b);
    tend_orphans(b);
    tidy_up(b, now);
    refresher_pass(&b->refresher, now);
}

/* --- life ------------------------------------------------------------------------------------ */

static int start(struct op *op, void *ctx, struct err *err)
{
    struct builder *b = ctx;
    b->op = op;
    b->chores_due = time_mono_ms() + HOUSEKEEPING_DELAY_MS;
    b->chores_again = true;
    container_clean(b->config);
    int r = firewall_set(b->config, err);
    if (r < 0)
        return r;
    r = image_store_open(b->config->images, (uid_t)b->config->uid_base, &b->images, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *authfile = path_join(b->config->etc, "registries.json");
    image_store_authfile(b->images, authfile);
    refresher_init(&b->refresher, op, b->images);
    return image_store_clean(b->images, err);
}

/* Whoever works on something is told: the process ends when all of them have. */
static void stop(struct op *op, void *ctx)
{
    (void)op;
    struct builder *b = ctx;
    for (struct job *j = b->jobs; j; j = j->next)
        if (!j->done)
            stop_job(j);
    refresher_stop(&b->refresher);
}

/* Removes what builds leave on the machine: control groups and firewall rules. */
static int builder_teardown(const struct config *c, struct err *err)
{
    container_clean(c);
    return firewall_remove(c, err);
}

static int builder_main(const struct config *c)
{
    struct builder b = {.config = c};
    return operator_run(&builder_operator, c, &b);
}

static const struct folder folders[] = {
    {BELOW(images), NULL, 0711, OWNER_ROOT},
    {BELOW(cache), "build", 0711, OWNER_ROOT},
    {BELOW(run), "build", 0755, OWNER_ROOT}, /* before anybody else can take the name */
    {0},
};

static const struct command commands[] = {
    {"stacks", "make what apps stand on; quick when it is there", "refresh",
     "anew, where Debian has newer packages", builder_stacks},
    {0},
};

const struct operator_desc builder_operator = {
    .name = "builder",
    .what = "makes images and releases of what is pushed",
    .scope = SCOPE_CLUSTER,
    .folders = folders,
    .commands = commands,
    .main = builder_main,
    .teardown = builder_teardown,
    .watches = (const struct schema *const[]){&app_schema, &build_schema, &remains_schema,
                                              &stack_schema, NULL},
    .subject = subject,
    .start = start,
    .reconcile = reconcile,
    .stop = stop,
};
