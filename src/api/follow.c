/* Following a build to its end, and a release until it is live: the text a pusher reads.
 *
 *     -----> Waiting for build 01k… of ann to finish       only if the app has one before, or
 *     -----> Waiting for 2 builds of other apps; 2 run at once      if enough of them run; and then
 *     -----> The build begins
 *     …what the build says…
 *     -----> Launching...
 *            Released v3
 *            http://shop.localhost:8080 deployed to Davit
 *     Verifying deploy... done. */
#include <errno.h>
#include <fcntl.h>

#include "api/builds.h"
#include "api/routes.h"
#include "api/logs.h"
#include "api/releases.h"
#include "http/reply.h"
#include "api/view.h"
#include "base/log.h"
#include "base/time.h"
#include "base/visible.h"

/* What we add ourselves is far less; file contents are taken in only while more than this is free.
 */
enum { FOLLOW_ROOM = 32 * 1024, GATEWAY_WAIT_MS = 30000 };

enum step { STEP_BUILD, STEP_RELEASE };

struct follower {
    struct stream stream;
    enum step step;
    char *app, *build; /* build NULL: only a release */
    char *branch;      /* pushed to; NULL: it didn't come from git */
    bool leash, then_release;
    int fd; /* its output */
    uv_fs_event_t *on_output;
    char *waits_for; /* the build we said we wait for; "": we said that others' are waited for */
    bool begun;      /* it was said, or needn't be */
    int64_t release;
    bool said_preparing, said_released;
    struct log_tail *phase; /* what its release phase says */
    int64_t wait_until;     /* mono ms: for how long the gateway is waited for */
};

/* Apps, builds and people have a say in it, and git prints it as it comes. */
static void say(struct follower *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct follower *f, const char *fmt, ...)
{
    _cleanup_(buf_release) struct buf b = BUF_CAP(FOLLOW_ROOM / 2),
                                      shown = BUF_CAP(FOLLOW_ROOM - 1);
    va_list ap;
    va_start(ap, fmt);
    buf_vaddf(&b, fmt, ap);
    va_end(ap);
    visible_add(&shown, buf_str(&b), VISIBLE_COLOURS);
    buf_add(&f->stream.pending, shown.ptr, shown.len);
}

static void end(struct follower *f, const char *result)
{
    f->stream.result = result;
    f->stream.done = true;
}

/* --- the build ------------------------------------------------------------------------------- */

/* Ends what was said of waiting. */
static void say_begun(struct follower *f)
{
    if (f->waits_for && !f->begun)
        say(f, "-----> The build begins\n");
    f->begun = true;
}

/* Whether it has all been taken in. */
static bool take_output(struct follower *f)
{
    char chunk[16 * 1024];
    while (stream_room(&f->stream) > FOLLOW_ROOM) {
        ssize_t n = f->fd < 0 ? 0 : TEMP_FAILURE_RETRY(read(f->fd, chunk, sizeof(chunk)));
        if (n <= 0)
            return true;
        say_begun(f);
        buf_add(&f->stream.pending, chunk, (size_t)n);
    }
    return false;
}

/* The oldest unfinished build of the app before ours. */
static const struct build *build_ahead(struct follower *f)
{
    struct api *api = api_of(f->stream.rq);
    const struct build *b;
    for (struct mirror_iter i = mirror_of(operator_mirror(api->op), &build_schema, NULL);
         (b = mirror_each(&i));)
        if (streq(b->app, f->app) && strcmp(b->id, f->build) < 0 &&
            !build_is_finished(view_build_status(api, b->id)))
            return b;
    return NULL;
}

/* How many builds of other apps run, or will before ours; *ret_apps: of how many apps. */
static size_t others_ahead(struct follower *f, size_t *ret_apps)
{
    struct api *api = api_of(f->stream.rq);
    _cleanup_(strv_release) struct strv apps = {0};
    const struct build *b;
    size_t n = 0;
    for (struct mirror_iter i = mirror_of(operator_mirror(api->op), &build_schema, NULL);
         (b = mirror_each(&i));) {
        if (streq(b->app, f->app))
            continue;
        const struct build_status *s = view_build_status(api, b->id);
        bool runs = s && s->state == BUILD_RUNNING;
        if (build_is_finished(s) || (!runs && (b->cancel || strcmp(b->id, f->build) > 0)))
            continue;
        n++;
        if (!strv_has(&apps, b->app))
            strv_add(&apps, b->app);
    }
    *ret_apps = apps.n;
    return n;
}

static void waits_for(struct follower *f, const char *what)
{
    free(f->waits_for);
    f->waits_for = xstrdup(what);
}

static void say_if_waiting(struct follower *f)
{
    const struct build *ahead = build_ahead(f);
    size_t apps, n = others_ahead(f, &apps);
    if (ahead && !(f->waits_for && streq(f->waits_for, ahead->id))) {
        say(f, "-----> Waiting for build %s of %s to finish\n", ahead->id,
            ahead->by ? ahead->by : "somebody");
        waits_for(f, ahead->id);
    } else if (!ahead && apps >= BUILDS_AT_ONCE && !(f->waits_for && !*f->waits_for)) {
        say(f, "-----> Waiting for %zu builds of other apps; %d run at once\n", n, BUILDS_AT_ONCE);
        waits_for(f, "");
    }
}

static void build_failed(struct follower *f, const struct build_status *s)
{
    const char *what = f->branch ? "Push" : "Deploy";
    if (s && s->state == BUILD_CANCELLED)
        say(f, " !     %s cancelled\n", what);
    else
        say(f, " !     %s rejected, %s\n", what,
            s && s->error ? s->error : "the build failed for an unknown reason");
    end(f, s && s->state == BUILD_CANCELLED ? "cancelled" : "failed");
}

static void step_build(struct follower *f)
{
    struct api *api = api_of(f->stream.rq);
    /* In this order: what the build said last is there before its end is. */
    const struct build_status *s = view_build_status(api, f->build);
    bool finished = build_is_finished(s);
    if (s && s->state == BUILD_RUNNING)
        say_begun(f);
    if (!take_output(f))
        return;
    if (!finished && !view_build(api, f->build)) {
        say(f, " !     The app %s was destroyed meanwhile\n", f->app);
        end(f, "failed");
    } else if (!finished) {
        if (!f->begun)
            say_if_waiting(f);
    } else if (s->state != BUILD_SUCCEEDED) {
        build_failed(f, s);
    } else if (f->then_release) {
        f->release = s->release;
        f->step = STEP_RELEASE;
        say(f, "-----> Launching...\n");
        if (f->branch)
            app_settle_branch(api, f->app, f->branch);
    } else {
        end(f, "succeeded");
    }
}

/* --- the release ----------------------------------------------------------------------------- */

static bool has_web(struct follower *f)
{
    struct api *api = api_of(f->stream.rq);
    const struct release *r = view_release(api, f->app, f->release);
    const struct desired *d = view_desired(api, f->app);
    const struct process *web = r ? release_process(r, "web") : NULL;
    return web && d && counts_get(&d->formation, "web", web->quantity) > 0;
}

/* An app whose processes are all scaled to none, as all but web are at first. */
static void say_if_idle(struct follower *f)
{
    _cleanup_(counts_release) struct counts formation = {0};
    view_formation(api_of(f->stream.rq), f->app, &formation);
    for (size_t i = 0; i < formation.n; i++)
        if (formation.items[i].n > 0)
            return;
    if (formation.n)
        say(f, "       Nothing of it runs yet: davit scale %s=1 -a %s\n", formation.items[0].name,
            f->app);
}

static void say_released(struct follower *f)
{
    struct api *api = api_of(f->stream.rq);
    _cleanup_free_ char *url = view_web_url(api, f->app);
    say(f, "       Released v%lld\n", (long long)f->release);
    if (!*url)
        say(f, "       No web process: not reachable by HTTP\n");
    else if (has_web(f))
        say(f, "       %s deployed to Davit\n", url);
    say_if_idle(f);
    f->said_released = true;
}

/* Its instances are ready; the deploy is done once requests go to them and no longer to older ones.
 */
static void verify(struct follower *f)
{
    struct api *api = api_of(f->stream.rq);
    int64_t now = time_mono_ms();
    if (!f->said_released) {
        say_released(f);
        f->wait_until = now + GATEWAY_WAIT_MS;
    }
    if (!has_web(f) || view_is_routed(api, f->app, f->release)) {
        say(f, "Verifying deploy... done.\n");
        end(f, "succeeded");
    } else if (now >= f->wait_until) {
        say(f, " !     The gateway has not taken v%lld over for %d s: see davit status\n",
            (long long)f->release, GATEWAY_WAIT_MS / 1000);
        end(f, "succeeded");
    } else {
        operator_wake_at(api->op, f->wait_until);
    }
}

/* The release that serves instead; 0: none does. */
static int64_t live_before(struct follower *f)
{
    struct api *api = api_of(f->stream.rq);
    int64_t n = f->release - 1;
    for (const struct release_status *s; n > 0; n--)
        if ((s = view_release_status(api, f->app, n)) && s->state == RELEASE_LIVE)
            break;
    return n;
}

/* Those that a failed release came with go with it. */
static void say_config(struct follower *f)
{
    struct api *api = api_of(f->stream.rq);
    const struct release *r = view_release(api, f->app, f->release);
    const struct config_vars *now = view_config(api, f->app);
    if (r && r->config != (now ? now->number : 0))
        say(f,
            " !     Its config variables are not kept: davit config -a %s shows those in force\n",
            f->app);
}

static void say_failed(struct follower *f, const struct release_status *s)
{
    say(f, " !     Release v%lld failed: %s\n", (long long)f->release,
        s->reason ? s->reason : "it never got ready");
    for (size_t i = 0; !f->phase && i < s->log.n; i++)
        say(f, "       %.1000s\n", s->log.items[i]);
    int64_t serving = live_before(f);
    if (serving)
        say(f, " !     v%lld goes on serving\n", (long long)serving);
    say_config(f);
    say(f, " !     The whole log: davit logs -a %s\n", f->app);
    end(f, "failed");
}

/* Its release phase runs: from now on what it says is passed on. */
static void say_preparing(struct follower *f)
{
    struct err err;
    const struct release *r = view_release(api_of(f->stream.rq), f->app, f->release);
    struct log_query q = {
        .process = "release.1", .source = "app", .n = LOG_LINES_MAX, .follow = true};
    if (r && r->created)
        time_log_text(time_parse(r->created), q.since);
    say(f, "-----> Running the release phase...\n");
    f->said_preparing = true;
    if (log_tail_new(&f->stream, f->app, &q, &f->phase, &err) < 0) {
        log_warning("%s: following its release phase: %s", f->app, err.msg);
        return;
    }
    while (!log_reader_search(log_tail_reader(f->phase)))
        ;
}

/* Whether everything has been taken in. */
static bool take_phase(struct follower *f)
{
    struct log_line line;
    while (f->phase && stream_room(&f->stream) > FOLLOW_ROOM) {
        if (!log_reader_next(log_tail_reader(f->phase), &line))
            return true;
        say(f, "       %.*s\n", (int)line.message.len, line.message.ptr);
    }
    return !f->phase;
}

static void step_release(struct follower *f)
{
    struct api *api = api_of(f->stream.rq);
    /* In this order: what the release phase said last is there before its outcome is. */
    const struct release_status *s = view_release_status(api, f->app, f->release);
    if (s && s->state == RELEASE_PREPARING && !f->said_preparing)
        say_preparing(f);
    if (!take_phase(f))
        return;
    if (!view_desired(api, f->app)) {
        say(f, " !     The app %s was destroyed meanwhile\n", f->app);
        end(f, "failed");
    } else if (s && s->state == RELEASE_LIVE) {
        verify(f);
    } else if (s && s->state == RELEASE_FAILED) {
        say_failed(f, s);
    } else if (s && s->state == RELEASE_SUPERSEDED) {
        say(f, " !     v%lld was replaced by a later release\n", (long long)f->release);
        end(f, "failed");
    }
}

/* --- the stream ------------------------------------------------------------------------------ */

static void fill(struct stream *s)
{
    struct follower *f = (struct follower *)s;
    if (f->step == STEP_BUILD)
        step_build(f);
    if (f->step == STEP_RELEASE && !s->done)
        step_release(f);
}

static void on_closed(uv_handle_t *h) { free(h); }

static void release(struct stream *s)
{
    struct follower *f = (struct follower *)s;
    struct api *api = api_of(s->rq);
    if (f->on_output)
        uv_close((uv_handle_t *)f->on_output, on_closed);
    closep(&f->fd);
    log_tail_free(f->phase);
    if (f->leash && !s->finished)
        build_cancel(api, f->build);
    free(f->app);
    free(f->build);
    free(f->branch);
    free(f->waits_for);
    free(f);
}

static const struct stream_ops ops = {.content_type = "text/plain; charset=utf-8",
                                      .fill = fill,
                                      .release = release,
                                      .on_change = true};

static struct follower *follower_new(struct request *rq, const char *app)
{
    struct follower *f = xcalloc(1, sizeof(*f));
    f->app = xstrdup(app);
    f->fd = -1;
    stream_init(&f->stream, &ops, rq);
    return f;
}

static void on_output(uv_fs_event_t *event, const char *name, int events, int status)
{
    (void)name;
    (void)events;
    (void)status;
    stream_poke(event->data);
}

static void watch_output(struct follower *f)
{
    const struct config *c = api_of(f->stream.rq)->config;
    _cleanup_free_ char *dir = build_folder(c, f->build), *path = path_join(dir, "output.log");
    f->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (f->fd < 0) /* an old build whose folder is gone has no output left */
        return;
    f->on_output = xmalloc(sizeof(*f->on_output));
    uv_fs_event_init(operator_loop(api_of(f->stream.rq)->op), f->on_output);
    f->on_output->data = f;
    int r = uv_fs_event_start(f->on_output, on_output, path, 0);
    if (r < 0)
        log_warning("watching %s: %s", path, uv_strerror(r));
}

void build_follow(struct request *rq, const char *id, bool then_release, bool leash)
{
    const struct build *b = view_build(api_of(rq), id);
    struct follower *f = follower_new(rq, b->app);
    f->build = xstrdup(id);
    f->branch = b->branch && *b->branch ? xstrdup(b->branch) : NULL;
    f->then_release = then_release;
    f->leash = leash;
    f->step = STEP_BUILD;
    watch_output(f);
}

int release_output(struct request *rq, struct err *err)
{
    const struct app *a;
    const struct release *release;
    int r = request_app(rq, &a, err);
    if (r < 0 || (r = request_release(rq, a->name, &release, err)) < 0)
        return r;
    struct follower *f = follower_new(rq, a->name);
    f->release = release->number;
    f->step = STEP_RELEASE;
    return 0;
}
