/* Releases: list, show, rollback. */
#include "api/releases.h"

#include "base/array.h"
#include "base/digest.h"
#include "api/routes.h"
#include "http/reply.h"
#include "api/view.h"
#include "model/current.h"
#include "os/file.h"

/* --- list, show ------------------------------------------------------------------------------ */

static void add_release(struct request *rq, const char *app, const struct release *r)
{
    reply_noun_with(&rq->out, &release_schema, r, "status", &release_status_schema,
                    view_release_status(api_of(rq), app, r->number));
}

static int by_number_down(const void *a, const void *b)
{
    const struct release *x = *(const struct release *const *)a,
                         *y = *(const struct release *const *)b;
    return (x->number < y->number) - (x->number > y->number);
}

/* Newest first; the array is the caller's, what it points to the mirror's. */
static const struct release **all_releases(struct api *api, const char *app, size_t *ret_n)
{
    const struct release **all = NULL, *r;
    size_t n = 0;
    for (struct mirror_iter i = mirror_of(operator_mirror(api->op), &release_schema, app);
         (r = mirror_each(&i));)
        *array_add(all, n) = r;
    if (n)
        qsort(all, n, sizeof(*all), by_number_down);
    *ret_n = n;
    return all;
}

static int releases_list(struct request *rq, struct err *err)
{
    const struct app *a;
    int r = request_app(rq, &a, err);
    if (r < 0)
        return r;
    size_t n;
    _cleanup_free_ const struct release **all = all_releases(api_of(rq), a->name, &n);
    struct page p = page_begin(rq);
    uint64_t after = INT64_MAX;
    if (p.after)
        str_to_u64(str_of(p.after), 0, INT64_MAX, &after, NULL);
    for (size_t i = 0; i < n; i++) {
        _cleanup_free_ char *cursor = xasprintf("%lld", (long long)all[i]->number);
        if (all[i]->number >= (int64_t)after)
            continue;
        if (!page_item(&p, cursor))
            break;
        add_release(rq, a->name, all[i]);
    }
    page_end(&p);
    return 0;
}

static int no_such_release(const char *app, int64_t n, struct err *err)
{
    err_set(err, ERR_NOT_FOUND, "%s has no release v%lld", app, (long long)n);
    return err_hint(err, "davit releases -a %s lists them", app);
}

int request_release(struct request *rq, const char *app, const struct release **ret,
                    struct err *err)
{
    struct str text = str_of(request_param(rq, "n"));
    uint64_t n;
    if (text.len && text.ptr[0] == 'v')
        text.ptr++, text.len--;
    int r = str_to_u64(text, 1, INT32_MAX, &n, err);
    if (r < 0)
        return r;
    *ret = view_release(api_of(rq), app, (int64_t)n);
    return *ret ? 0 : no_such_release(app, (int64_t)n, err);
}

static int releases_show(struct request *rq, struct err *err)
{
    const struct app *a;
    const struct release *release;
    int r = request_app(rq, &a, err);
    if (r < 0 || (r = request_release(rq, a->name, &release, err)) < 0)
        return r;
    add_release(rq, a->name, release);
    return 0;
}

/* --- a new one of an old one ----------------------------------------------------------------- */

static bool image_is_there(const struct config *c, const char *digest)
{
    if (!digest_valid(digest))
        return false;
    _cleanup_free_ char *blob = digest_blob(digest), *path = path_join(c->images, "%s", blob);
    return path_exists(path);
}

int release_copy(struct change *c, const struct release_from *from, int64_t *ret_number,
                 struct err *err)
{
    _cleanup_free_ char *old_key = key_release(from->app, from->from),
                        *desired_key = key_desired(from->app);
    _cleanup_(release_release) struct release old = {0};
    _cleanup_(desired_release) struct desired d = {0};
    int r = change_read(c, desired_key, &desired_schema, &d, err);
    if (r < 0)
        return r;
    r = change_read(c, old_key, &release_schema, &old, err);
    if (r == -ERR_NOT_FOUND)
        return no_such_release(from->app, from->from, err);
    if (r < 0)
        return r;
    if (!image_is_there(c->api->config, old.image)) {
        err_set(err, ERR_UNPROCESSABLE, "the image of v%lld was collected", (long long)from->from);
        return err_hint(err,
                        "only the last %d releases keep theirs (retain_releases); push that "
                        "commit again",
                        (int)c->api->config->retain_releases);
    }
    struct release new = old; /* borrows what it doesn't replace */
    new.number = release_next(&d);
    new.created = c->now;
    new.by = c->who->user;
    new.description = (char *)from->description;
    if (from->config)
        new.config = from->config;
    else
        d.config = 0;
    _cleanup_free_ char *new_key = key_release(from->app, new.number);
    change_new(c, new_key, &release_schema, &new);
    *ret_number = d.release = new.number;
    change_put(c, desired_key, &desired_schema, &d);
    buf_addf(&c->detail, "%sv%lld", c->detail.len ? " " : "", (long long)new.number);
    return 0;
}

/* --- rollback -------------------------------------------------------------------------------- */

struct rollback {
    const char *app;
    int64_t to; /* 0: the last one before the current one that was live */
    int64_t ret_number;
};

static bool was_live(const struct release_status *s)
{
    return s && (s->state == RELEASE_LIVE || s->state == RELEASE_SUPERSEDED);
}

/* Whether the image of all[of] is kept: for itself, or for another release that has the same. */
static bool image_is_kept(struct api *api, const char *app, const struct release **all, size_t n,
                          const struct release *of)
{
    const struct desired *d = view_desired(api, app);
    _cleanup_free_ int64_t *numbers = xcalloc(n, sizeof(*numbers));
    _cleanup_free_ int *states = xcalloc(n, sizeof(*states));
    _cleanup_free_ bool *keep = xcalloc(n, sizeof(*keep));
    for (size_t i = 0; i < n; i++) {
        const struct release *r = all[n - 1 - i];
        const struct release_status *s = view_release_status(api, app, r->number);
        numbers[i] = r->number;
        states[i] = s ? s->state : RELEASE_PENDING;
    }
    releases_retained(numbers, states, n, d ? d->release : 0, api->config->retain_releases, keep);
    for (size_t i = 0; i < n; i++)
        if (keep[i] && streq(all[n - 1 - i]->image, of->image))
            return true;
    return false;
}

static int check_image(struct api *api, const char *app, const struct release **all, size_t n,
                       int64_t number, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (all[i]->number != number || image_is_kept(api, app, all, n, all[i]))
            continue;
        err_set(err, ERR_UNPROCESSABLE, "the image of v%lld is no longer kept", (long long)number);
        return err_hint(err, "push that commit again; the setting retain_releases keeps more");
    }
    return 0;
}

static int choose(struct api *api, struct rollback *rb, int64_t *ret, struct err *err)
{
    size_t n;
    _cleanup_free_ const struct release **all = all_releases(api, rb->app, &n);
    const struct desired *d = view_desired(api, rb->app);
    for (size_t i = 0; !rb->to && i < n; i++) {
        if (d && all[i]->number < d->release &&
            was_live(view_release_status(api, rb->app, all[i]->number))) {
            *ret = all[i]->number;
            return check_image(api, rb->app, all, n, *ret, err);
        }
    }
    if (!rb->to) {
        err_set(err, ERR_UNPROCESSABLE, "%s has no earlier release to go back to", rb->app);
        return err_hint(err, "davit releases -a %s lists them", rb->app);
    }
    const struct release_status *s = view_release_status(api, rb->app, rb->to);
    if (s && s->state == RELEASE_FAILED) {
        err_set(err, ERR_UNPROCESSABLE, "v%lld failed: %s", (long long)rb->to,
                s->reason ? s->reason : "it never got ready");
        return err_hint(err, "choose one that was live: davit releases -a %s", rb->app);
    }
    *ret = rb->to;
    return check_image(api, rb->app, all, n, *ret, err);
}

static int rollback(struct change *c, void *arg, struct err *err)
{
    struct rollback *rb = arg;
    struct release_from from = {.app = rb->app};
    int r = choose(c->api, rb, &from.from, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *description = xasprintf("Rollback to v%lld", (long long)from.from);
    from.description = description;
    return release_copy(c, &from, &rb->ret_number, err);
}

static int releases_rollback(struct request *rq, struct err *err)
{
    const struct app *a;
    struct rollback rb = {.to = body_number(rq, "to")};
    int r = request_app(rq, &a, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *name = xstrdup(a->name);
    rb.app = name;
    r = change_make(api_of(rq), &rq->who, "release.rollback", name, rollback, &rb, err);
    if (r < 0)
        return r;
    const struct release *made = view_release(api_of(rq), name, rb.ret_number);
    if (!made)
        return no_such_release(name, rb.ret_number, err);
    reply_noun(&rq->out, NULL, &release_schema, made);
    return 0;
}

/* clang-format off */
const struct route release_routes[] = {
    ROUTE(GET, "/v1/apps/{app}/releases", releases_list, VIEWER, "Releases, newest first", QUERY(PAGED),
          LIST_OF(release_schema), .inside = &release_status_schema),
    ROUTE(GET, "/v1/apps/{app}/releases/{n}", releases_show, VIEWER, "One release", ONE(release_schema), .inside = &release_status_schema),
    ROUTE(POST, "/v1/apps/{app}/rollback", releases_rollback, DEVELOPER, "A new release of an old one",
          FIELDS({"to", "its number; 0: the last live one before", PARAM_NUMBER, .max = INT32_MAX}), CREATED(release_schema)),
    ROUTE(GET, "/v1/apps/{app}/releases/{n}/output", release_output, VIEWER,
          "Follow a release until it is live or failed; trailer Davit-Result", STREAM("text/plain")),
    {0},
};
/* clang-format on */
