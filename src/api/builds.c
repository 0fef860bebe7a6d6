/* Builds: a tar or an image reference comes in, a record goes into the store, its output goes out.
 */
#include "api/builds.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "api/routes.h"
#include "http/reply.h"
#include "api/view.h"
#include "base/log.h"
#include "base/time.h"
#include "os/file.h"

char *build_folder(const struct config *c, const char *id)
{
    return path_join(c->state, "builds/%s", id);
}

/* Crockford's base32: eleven digits of the time in microseconds, three at random. Two in one
 * microsecond are told apart by taking the next one. */
char *build_id_new(void)
{
    static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
    static uint64_t last;
    uint16_t noise;
    random_bytes(&noise, sizeof(noise));
    last = MAX(last + 1, (uint64_t)time_wall_us());
    uint64_t n = last;
    char *id = xmalloc(15);
    for (int i = 10; i >= 0; i--, n >>= 5)
        id[i] = digits[n & 31];
    for (int i = 11; i < 14; i++, noise = (uint16_t)(noise >> 5))
        id[i] = digits[noise & 31];
    id[14] = '\0';
    return id;
}

/* --- what comes in --------------------------------------------------------------------------- */

struct upload {
    char *dir, *archive; /* archive NULL: an image reference */
    int fd;
    uint64_t size;
    struct build build;
    char *born; /* when the app was created, to know it again */
    bool recorded;
};

static void release_upload(struct request *rq)
{
    struct upload *u = rq->state;
    closep(&u->fd);
    if (!u->recorded) {
        struct err err;
        if (u->dir && dir_remove(u->dir, &err) < 0)
            log_warning("a broken upload: %s", err.msg);
    }
    build_release(&u->build);
    free(u->dir);
    free(u->archive);
    free(u->born);
    free(u);
}

static int check_commit(const char *commit, struct err *err)
{
    size_t n = commit ? strlen(commit) : 0;
    if (!n || (n <= 64 && strspn(commit, "0123456789abcdef") == n))
        return 0;
    return err_set(err, ERR_INVALID, "commit must be lower-case hex");
}

static char *copy(const char *text) { return text && *text ? xstrdup(text) : NULL; }

/* An image in a file is read by root, whoever may read it: that is for admins. */
static int check_image(struct request *rq, const char *image, struct err *err)
{
    if (!image || !*image || str_starts(str_of(image), STR("docker://")))
        return 0;
    int r = identity_need(&rq->who, ROLE_ADMIN, err);
    return r < 0
               ? err_hint(err,
                          "push the image to a registry and deploy it from there, or ask an admin")
               : 0;
}

static int describe(struct request *rq, struct build *b, struct err *err)
{
    const char *commit = request_query(rq, "commit"), *branch = request_query(rq, "branch"),
               *description = request_query(rq, "description"), *image = request_query(rq, "image");
    int r = check_image(rq, image, err);
    if (r < 0)
        return r;
    b->commit = copy(commit);
    b->branch = copy(branch);
    b->description = copy(description);
    b->image = copy(image);
    return 0;
}

static int write_chunk(struct request *rq, const char *data, size_t n, size_t *ret_taken,
                       struct err *err)
{
    struct upload *u = rq->state;
    uint64_t max = (uint64_t)api_of(rq)->config->upload_max << 20;
    *ret_taken = n;
    if (u->fd < 0)
        return err_set(err, ERR_INVALID, "with ?image= there must be no body");
    u->size += n;
    if (u->size > max) {
        err_set(err, ERR_TOO_LARGE, "the source is larger than %lld MiB",
                (long long)api_of(rq)->config->upload_max);
        return err_hint(err, "leave out what is not needed to build; upload_max in davit.conf is "
                             "the limit");
    }
    int r = fd_write_all(u->fd, data, n, err);
    if (r == -ERR_NO_SPACE)
        err_hint(err, "free some space on the server's disk, then push again");
    return r < 0 ? err_wrap(err, "storing the source") : 0;
}

static int create(struct change *c, void *arg, struct err *err)
{
    struct upload *u = arg;
    _cleanup_free_ char *app_key = key_app(u->build.app), *key = key_build(u->build.id);
    _cleanup_(app_release) struct app a = {0};
    int r = change_read(c, app_key, &app_schema, &a, err); /* it may be destroyed meanwhile */
    if (r == -ERR_NOT_FOUND || (r == 0 && !streq(a.created ? a.created : "", u->born)))
        return err_set(err, ERR_NOT_FOUND, "the app %s was destroyed meanwhile", u->build.app);
    if (r < 0)
        return r;
    _cleanup_free_ char *leash = key_leash(u->build.id);
    r = change_hold(c, leash, &leash_schema,
                    &(struct leash){.node = (char *)operator_node(c->api->op)}, err);
    if (r < 0)
        return r;
    change_new(c, key, &build_schema, &u->build);
    buf_addf(&c->detail, "%s%s%s", u->build.id, u->build.commit ? " " : "",
             u->build.commit ? u->build.commit : "");
    return 0;
}

/* The whole body is there. No fsync: power loss ends the connection too, and with it the build. */
static int builds_create(struct request *rq, struct err *err)
{
    struct upload *u = rq->state;
    if (u->archive && !u->size)
        return err_set(err, ERR_INVALID, "the source is empty; a tar of it is needed");
    u->build.created = time_now_text();
    int r = change_make(api_of(rq), &rq->who, "build.create", u->build.app, create, u, err);
    if (r < 0)
        return r;
    u->recorded = true;
    rq->header_name = "Davit-Build";
    rq->header_value = xstrdup(u->build.id);
    build_follow(rq, u->build.id, true, true);
    return 0;
}

static int make_folder(struct request *rq, struct upload *u, struct err *err)
{
    u->dir = build_folder(api_of(rq)->config, u->build.id);
    int r = dir_make(u->dir, 0750, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *output = path_join(u->dir, "output.log");
    _cleanup_close_ int out = open(output, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0660);
    if (out < 0)
        return err_errno(err, "%s", output);
    if (u->build.image)
        return 0;
    u->archive = path_join(u->dir, "source.tar");
    u->build.archive = xstrdup(u->archive);
    u->fd = open(u->archive, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    return u->fd < 0 ? err_errno(err, "%s", u->archive) : 0;
}

static int builds_open(struct request *rq, struct err *err)
{
    const struct app *a;
    int r = request_app(rq, &a, err);
    if (r < 0)
        return r;
    struct upload *u = xcalloc(1, sizeof(*u));
    u->fd = -1;
    rq->state = u;
    rq->release = release_upload;
    rq->receive = write_chunk;
    u->build.app = xstrdup(a->name);
    u->born = xstrdup(a->created ? a->created : "");
    u->build.by = xstrdup(rq->who.user);
    u->build.id = build_id_new();
    r = describe(rq, &u->build, err);
    return r < 0 ? r : make_folder(rq, u, err);
}

/* --- show, output ---------------------------------------------------------------------------- */

static int request_build(struct request *rq, const struct build **ret, struct err *err)
{
    const char *id = request_param(rq, "id");
    *ret = path_is_component(id) ? view_build(api_of(rq), id) : NULL;
    return *ret ? 0 : err_set(err, ERR_NOT_FOUND, "there is no build '%.64s'", id);
}

static int builds_show(struct request *rq, struct err *err)
{
    const struct build *b;
    int r = request_build(rq, &b, err);
    if (r < 0)
        return r;
    reply_noun_with(&rq->out, &build_schema, b, "status", &build_status_schema,
                    view_build_status(api_of(rq), b->id));
    return 0;
}

static int builds_output(struct request *rq, struct err *err)
{
    const struct build *b;
    int r = request_build(rq, &b, err);
    if (r == 0)
        build_follow(rq, b->id, false, false);
    return r;
}

/* clang-format off */
const struct route build_routes[] = {
    ROUTE(POST, "/v1/apps/{app}/builds", builds_create, DEVELOPER,
          "Build and deploy what the body holds, a tar; or ?image=REF without a body. Ends with trailer Davit-Result; the connection is the build's leash. Header Davit-Build is its id",
          .open = builds_open, .body = "application/x-tar",
          QUERY({"image", "what to deploy instead of a source, such as docker://REF", .kind = &(const struct text_kind){.max = 1000}},
                {"commit", "that it was made of", .kind = &(const struct text_kind){"^[0-9a-f]{0,64}$", 64, check_commit}},
                {"branch", "that was pushed", .kind = &(const struct text_kind){.max = 255}},
                {"description", "of the release", .kind = &(const struct text_kind){.max = 500}}),
          STREAM("text/plain")),
    ROUTE(GET, "/v1/builds/{id}", builds_show, VIEWER, "One build", ONE(build_schema), .inside = &build_status_schema),
    ROUTE(GET, "/v1/builds/{id}/output", builds_output, VIEWER, "Its output, followed while it runs; trailer Davit-Result", STREAM("text/plain")),
    {0},
};
/* clang-format on */

/* --- cancel, collect ------------------------------------------------------------------------- */

static int cancel(struct change *c, void *arg, struct err *err)
{
    const char *id = arg;
    _cleanup_free_ char *key = key_build(id);
    _cleanup_(build_release) struct build b = {0};
    int r = change_read(c, key, &build_schema, &b, err);
    if (r < 0)
        return r;
    if (b.cancel)
        return 1;
    b.cancel = true;
    change_put(c, key, &build_schema, &b);
    buf_adds(&c->detail, id);
    return 0;
}

void build_cancel(struct api *api, const char *id)
{
    const struct build *b = view_build(api, id);
    if (!b || build_is_finished(view_build_status(api, id)))
        return;
    struct err err;
    _cleanup_free_ char *app = xstrdup(b->app), *own_id = xstrdup(id);
    int r = change_make(api, &identity_davit, "build.cancel", app, cancel, own_id, &err);
    if (r < 0 && r != -ERR_NOT_FOUND)
        log_error("cancelling build %s: %s", own_id, err.msg);
}

/* --- the deploy branch ----------------------------------------------------------------------- */

struct branch {
    const char *app, *name;
};

static int settle(struct change *c, void *arg, struct err *err)
{
    struct branch *b = arg;
    _cleanup_free_ char *key = key_app(b->app);
    _cleanup_(app_release) struct app a = {0};
    int r = change_read(c, key, &app_schema, &a, err);
    if (r < 0 || (a.branch && *a.branch))
        return r < 0 ? r : 1;
    free(a.branch);
    a.branch = xstrdup(b->name);
    change_put(c, key, &app_schema, &a);
    buf_adds(&c->detail, b->name);
    return 0;
}

void app_settle_branch(struct api *api, const char *app, const char *branch)
{
    struct err err;
    struct branch b = {app, branch};
    if (change_make(api, &identity_davit, "app.branch", app, settle, &b, &err) < 0)
        log_warning("%s: remembering its deploy branch: %s", app, err.msg);
}
