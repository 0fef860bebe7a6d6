/* fake_pipeline STORE_URL: plays `build` and `run` for tests of the api alone, which need a build
 * that ends how and when they say. What the tar holds decides: a file named FAIL fails the build,
 * FAIL_RELEASE the release, WAIT keeps it building until it is cancelled. Everything else is
 * released and live at once. */
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/time.h"
#include "model/nouns.h"
#include "operator/operator.h"
#include "os/file.h"

static void put(struct op *op, struct txn *t, const char *key, const struct schema *s,
                const void *value)
{
    (void)op;
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    model_encode(s, value, &json);
    txn_put(t, key, buf_str(&json), 0);
}

static bool tar_has(const char *path, const char *name)
{
    bool found = false;
    struct archive *a = archive_read_new();
    struct archive_entry *e;
    archive_read_support_format_tar(a);
    if (archive_read_open_filename(a, path, 65536) == ARCHIVE_OK)
        while (!found && archive_read_next_header(a, &e) == ARCHIVE_OK)
            found = streq(archive_entry_pathname(e), name);
    archive_read_free(a);
    return found;
}

static void append(const struct build *b, const char *text)
{
    char *slash = strrchr(b->archive, '/');
    _cleanup_free_ char *path = xasprintf("%.*s/output.log", (int)(slash - b->archive), b->archive);
    _cleanup_close_ int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    fd_write_all(fd, text, strlen(text), NULL);
}

/* What run and gateway would say once requests go to the release. */
static void serve(struct op *op, struct txn *t, const char *app, int64_t n)
{
    _cleanup_free_ char *id = xasprintf("v%lld.g0.1", (long long)n),
                        *instance_key = key_instance(app, "web", id),
                        *routing_key = key_routing(app);
    struct instance i = {
        .app = (char *)app, .type = (char *)"web", .id = id, .index = 1, .release = n};
    _cleanup_(routing_release) struct routing r = {.app = xstrdup(app)};
    strv_add(&r.instances, id);
    put(op, t, instance_key, &instance_schema, &i);
    put(op, t, routing_key, &routing_schema, &r);
}

/* A release of one web process, live or failed at once. */
static void release(struct op *op, struct txn *t, const struct build *b, int64_t *ret)
{
    char now[TIME_TEXT_LEN + 1];
    time_rfc3339(time_wall_us(), now);
    _cleanup_free_ char *key = key_desired(b->app);
    _cleanup_(desired_release) struct desired d = {0};
    _cleanup_(kv_release) struct kv kv = {0};
    if (store_get(operator_store(op), key, &kv, NULL) < 0 ||
        model_decode(&desired_schema, (struct str){kv.value, kv.value_len}, &d, NULL) < 0)
        return;
    struct process web = {.type = (char *)"web", .command = (char *)"true", .quantity = 1};
    struct release r = {.number = ++d.release,
                        .created = now,
                        .by = b->by,
                        .description = (char *)"Deploy",
                        .image = (char *)"sha256:00",
                        .commit = b->commit,
                        .processes = {.items = &web, .n = 1}};
    bool fails = tar_has(b->archive, "FAIL_RELEASE");
    struct release_status s = {.state = fails ? RELEASE_FAILED : RELEASE_LIVE, .since = now};
    if (fails) {
        s.reason = (char *)"web.1 exited with status 1 before it was ready";
        strv_add(&s.log, "web.1: the last line");
    }
    _cleanup_free_ char *release_key = key_release(b->app, r.number),
                        *status_key = key_release_status(b->app, r.number);
    put(op, t, key, &desired_schema, &d);
    put(op, t, release_key, &release_schema, &r);
    put(op, t, status_key, &release_status_schema, &s);
    serve(op, t, b->app, r.number);
    strv_release(&s.log);
    *ret = r.number;
}

static void build(struct op *op, const struct build *b)
{
    struct txn t = {0};
    struct build_status s = {.state = BUILD_SUCCEEDED};
    if (b->cancel) {
        s.state = BUILD_CANCELLED;
    } else if (tar_has(b->archive, "FAIL")) {
        append(b, "-----> Building\n       it goes wrong\n");
        s.state = BUILD_FAILED;
        s.error = (char *)"failed to compile the fake";
    } else {
        append(b, "-----> Building\n       done\n");
        release(op, &t, b, &s.release);
    }
    _cleanup_free_ char *key = key_build_status(b->id);
    put(op, &t, key, &build_status_schema, &s);
    operator_txn(op, &t);
}

static void reconcile(struct op *op, void *ctx, int64_t now)
{
    (void)ctx;
    (void)now;
    const struct build *b;
    struct mirror *m = operator_mirror(op);
    for (struct mirror_iter i = mirror_of(m, &build_schema, NULL); (b = mirror_each(&i));) {
        _cleanup_free_ char *key = key_build_status(b->id);
        if (mirror_get(m, key, &build_status_schema, NULL))
            continue;
        if (tar_has(b->archive, "WAIT") && !b->cancel)
            break; /* one at a time */
        build(op, b);
        break; /* the write brings the next pass */
    }
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    static const struct schema *const watches[] = {&app_schema, &build_schema, NULL};
    static const struct operator_desc desc = {
        .name = "fake_pipeline", .watches = watches, .reconcile = reconcile};
    struct config c;
    struct err err;
    _cleanup_free_ char *settings = xasprintf("store = %s\n", argv[1]);
    if (config_parse("", str_of(settings), &c, &err) < 0)
        return 1;
    return operator_run(&desc, &c, NULL);
}
