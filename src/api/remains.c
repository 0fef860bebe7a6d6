#include "api/remains.h"

#include "api/apps.h"
#include "git/repo.h"
#include "http/stream.h"
#include "api/view.h"
#include "base/log.h"
#include "base/time.h"
#include "operator/remains.h"
#include "os/file.h"

enum { WAIT_MS = 25 * 1000, RETRY_MS = 5000 };

static void name_next(struct buf *names, const char *who)
{
    if (!streq(who, "api") || !names->len)
        buf_addf(names, "%s%s", names->len ? ", " : "", who);
}

int remains_check(struct change *c, const char *app, struct err *err)
{
    _cleanup_(buf_release) struct buf names = BUF_INIT;
    for (const char *const *who = remains_operators; *who; who++) {
        _cleanup_free_ char *key = key_remains(app, *who);
        _cleanup_(remains_release) struct remains left = {0};
        int r = change_read(c, key, &remains_schema, &left, err);
        if (r == -ERR_NOT_FOUND)
            continue;
        if (r < 0)
            return r;
        name_next(&names, *who);
    }
    if (!names.len)
        return 0;
    err_set(err, ERR_UNAVAILABLE, "the former app '%s' is still being removed: waits for %s", app,
            names.ptr);
    return err_hint(err, "try again in some seconds; if that doesn't help, davitd.log says why");
}

char *remains_wait_for(struct api *api, const char *app)
{
    struct buf names = BUF_INIT;
    for (const char *const *who = remains_operators; *who; who++)
        if (remains_left(api->op, app, *who))
            name_next(&names, *who);
    return names.ptr;
}

/* --- the change ------------------------------------------------------------------------------ */

static void images_of(struct api *api, const char *app, struct strv *ret)
{
    const struct release *r;
    for (struct mirror_iter i = mirror_of(operator_mirror(api->op), &release_schema, app);
         (r = mirror_each(&i));)
        if (!strv_has(ret, r->image))
            strv_add(ret, r->image);
}

static void builds_of(struct api *api, const char *app, struct strv *ret)
{
    const struct build *b;
    for (struct mirror_iter i = mirror_of(operator_mirror(api->op), &build_schema, NULL);
         (b = mirror_each(&i));)
        if (streq(b->app, app))
            strv_add(ret, b->id);
}

struct end {
    const char *app;
    struct remains left; /* of the last attempt */
};

static void leave_remains(struct change *c, const struct remains *left)
{
    const struct remains nothing = {.app = left->app};
    for (const char *const *who = remains_operators; *who; who++) {
        _cleanup_free_ char *key = key_remains(left->app, *who);
        change_new(c, key, &remains_schema, streq(*who, "builder") ? left : &nothing);
    }
}

static int destroy(struct change *c, void *arg, struct err *err)
{
    struct end *e = arg;
    _cleanup_free_ char *key = key_app(e->app), *below = key_below(key),
                        *rollouts = key_prefix(&rollout_schema, e->app);
    _cleanup_(app_release) struct app a = {0};
    int r = change_read(c, key, &app_schema, &a, err);
    if (r < 0)
        return r;
    remains_release(&e->left);
    e->left = (struct remains){.app = xstrdup(e->app)};
    images_of(c->api, e->app, &e->left.images);
    builds_of(c->api, e->app, &e->left.builds);
    change_delete(c, key);
    change_delete_prefix(c, below);
    change_delete_prefix(c, rollouts);
    for (size_t i = 0; i < e->left.builds.n; i++) {
        _cleanup_free_ char *build = key_build(e->left.builds.items[i]), *status = key_below(build);
        change_delete(c, build);
        change_delete_prefix(c, status);
    }
    leave_remains(c, &e->left);
    return 0;
}

/* --- what is the api's ----------------------------------------------------------------------- */

/* The builder does so again: a build that ran may have come back to its folder. */
static void remove_build_folders(struct api *api, const struct remains *left)
{
    for (size_t i = 0; i < left->builds.n; i++) {
        struct err err;
        _cleanup_free_ char *dir =
            path_join(api->config->state, "builds/%s", left->builds.items[i]);
        if (dir_remove(dir, &err) < 0)
            log_warning("destroying %s: %s", left->app, err.msg);
    }
}

static bool others_are_done(struct api *api, const char *app)
{
    for (const char *const *who = remains_operators; *who; who++)
        if (!streq(*who, "api") && remains_left(api->op, app, *who))
            return false;
    return true;
}

/* Its former values, secrets among them, are in the store's history until that is forgotten. */
static int forget_history(struct api *api, struct err *err)
{
    int64_t newest;
    int r = store_revision(operator_store(api->op), &newest, err);
    return r < 0 ? r : store_compact(operator_store(api->op), newest, err);
}

void remains_pass(struct api *api)
{
    _cleanup_(strv_release) struct strv apps = {0};
    bool forgotten = false, failed = false;
    if (time_mono_ms() < api->remains_due)
        return operator_wake_at(api->op, api->remains_due);
    remains_of(api->op, "api", &apps);
    for (size_t i = 0; i < apps.n; i++) {
        const char *app = apps.items[i];
        struct err err;
        if (!others_are_done(api, app))
            continue;
        int r = repo_remove(api->config, app, &err);
        if (r == 0 && !forgotten)
            r = forget_history(api, &err);
        if (r == 0) {
            forgotten = true;
            remains_done(api->op, app, "api");
        } else {
            log_warning("destroying %s: %s", app, err.msg);
            failed = true;
        }
    }
    if (failed)
        operator_wake_at(api->op, api->remains_due = time_mono_ms() + RETRY_MS);
}

/* --- the answer, once all is gone ------------------------------------------------------------ */

struct farewell {
    struct stream stream;
    char *app;
    int64_t until; /* mono ms */
};

static void fill(struct stream *s)
{
    struct farewell *f = (struct farewell *)s;
    struct api *api = api_of(s->rq);
    _cleanup_free_ char *names = remains_wait_for(api, f->app);
    if (names && time_mono_ms() < f->until)
        return operator_wake_at(api->op, f->until);
    if (names)
        buf_addf(&s->pending, "%s is gone, but not all that was its: that waits for %s\n", f->app,
                 names);
    s->result = names ? "unfinished" : "succeeded";
    s->done = true;
}

static void release(struct stream *s)
{
    struct farewell *f = (struct farewell *)s;
    free(f->app);
    free(f);
}

static const struct stream_ops ops = {.content_type = "text/plain; charset=utf-8",
                                      .fill = fill,
                                      .release = release,
                                      .on_change = true};

int apps_destroy(struct request *rq, struct err *err)
{
    const struct app *a;
    int r = request_app(rq, &a, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *name = xstrdup(a->name);
    struct end e = {.app = name};
    struct err why;
    r = change_make(api_of(rq), &rq->who, "app.destroy", name, destroy, &e, err);
    if (r == 0) {
        remove_build_folders(api_of(rq), &e.left);
        if (repo_remove(api_of(rq)->config, name, &why) < 0)
            log_warning("destroying %s: %s", name, why.msg);
        struct farewell *f = xcalloc(1, sizeof(*f));
        f->app = TAKE_PTR(name);
        f->until = time_mono_ms() + WAIT_MS;
        stream_init(&f->stream, &ops, rq);
    }
    remains_release(&e.left);
    return r;
}
