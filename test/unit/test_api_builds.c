/* Builds over the api's sockets: the source comes in, the text goes out, the connection is the
 * leash. */
#include "test_api_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "base/time.h"
#include "os/file.h"

static char tar[1024] = "a tar for all the api knows";

/* One POST …/builds under way. */
struct push {
    int fd;
    struct answer answer;
    struct buf text;
    char *id;
};

static void push_end(struct push *p)
{
    closep(&p->fd);
    answer_release(&p->answer);
    buf_release(&p->text);
    free(p->id);
}

/* The newest build in the store that isn't `not`; the caller's. */
static char *newest_build(const char * not )
{
    _cleanup_(kv_list_release) struct kv_list l = {0};
    assert_int_equal(store_list(world.store, "/builds/", &l, NULL), 0);
    struct str parts[1];
    for (size_t i = l.n; i-- > 0;)
        if (key_is(&build_schema, l.items[i].key, parts))
            return streq(parts[0].ptr, not ) ? NULL : xstrdup(parts[0].ptr);
    return NULL;
}

static struct push push_begin(const char *app, const char *query)
{
    struct push p = {.fd = dial(LOCAL), .text = BUF_INIT};
    _cleanup_free_ char *before = newest_build("");
    answer_init(&p.answer);
    send_text(p.fd,
              "POST /v1/apps/%s/builds?%s HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
              "%zx\r\n%s\r\n0\r\n\r\n",
              app, query, strlen(tar), tar);
    wait_until((p.id = newest_build(before ? before : "")));
    return p;
}

static void build_says(const struct push *p, const char *text)
{
    _cleanup_free_ char *path = path_join(world.config.state, "builds/%s/output.log", p->id);
    _cleanup_close_ int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(fd_write_all(fd, text, strlen(text), NULL), 0);
}

static void build_is(const struct push *p, struct build_status s)
{
    _cleanup_free_ char *key = key_build_status(p->id);
    put(key, &build_status_schema, &s);
}

static void release_is(const char *app, int64_t n, struct release_status s)
{
    _cleanup_free_ char *key = key_release(app, n), *status = key_release_status(app, n);
    struct process web = {.type = (char *)"web", .quantity = 1};
    struct release r = {
        .number = n, .image = (char *)"sha256:" AAAA, .processes = {.items = &web, .n = 1}};
    put(key, &release_schema, &r);
    put(status, &release_status_schema, &s);
}

/* The gateway sends the app's requests to one instance, of release n. */
static void routed_to(const char *app, int64_t n)
{
    struct instance i = {.app = (char *)app, .type = (char *)"web", .index = 1, .release = n};
    _cleanup_(routing_release) struct routing r = {.app = xstrdup(app)};
    strv_addf(&r.instances, "v%d.g0.1", (int)n);
    i.id = r.instances.items[0];
    _cleanup_free_ char *instance = key_instance(app, "web", i.id), *routing = key_routing(app);
    put(instance, &instance_schema, &i);
    put(routing, &routing_schema, &r);
}

static void expect_end(struct push *p, const char *result, const char *last)
{
    read_answer(p->fd, &p->answer, &p->text, NULL);
    assert_int_equal(p->answer.state, ANSWER_DONE);
    assert_string_equal(p->answer.result, result);
    assert_contains(p->text.ptr, last);
}

static void create_app(const char *name)
{
    _cleanup_free_ char *body = xasprintf("{\"name\":\"%s\"}", name);
    assert_int_equal(local("POST", "/v1/apps", body)->status, 201);
}

static void a_push_succeeds(void **state)
{
    (void)state;
    create_app("good");
    _cleanup_(push_end) struct push p = push_begin("good", "commit=0123abcd&branch=fix%2Fone");
    _cleanup_free_ char *key = key_build(p.id);
    _cleanup_(build_release) struct build b = {0};
    assert_true(get(key, &build_schema, &b));
    assert_string_equal(b.app, "good");
    assert_string_equal(b.by, "root");
    assert_string_equal(b.commit, "0123abcd");
    assert_string_equal(b.branch, "fix/one");
    _cleanup_(buf_release) struct buf source = BUF_INIT;
    assert_int_equal(file_read(b.archive, &source, NULL), 0);
    assert_string_equal(source.ptr, tar);
    /* Each line comes as it is said. */
    build_says(&p, "-----> One\n");
    read_answer(p.fd, &p.answer, &p.text, "-----> One\n");
    build_is(&p, (struct build_status){.state = BUILD_RUNNING});
    build_says(&p, "-----> Two\n");
    read_answer(p.fd, &p.answer, &p.text, "-----> Two\n");
    release_is("good", 1, (struct release_status){.state = RELEASE_STARTING});
    build_says(&p, "-----> Last\n");
    build_is(&p, (struct build_status){.state = BUILD_SUCCEEDED, .release = 1});
    read_answer(p.fd, &p.answer, &p.text, "-----> Last\n-----> Launching...\n");
    release_is("good", 1, (struct release_status){.state = RELEASE_LIVE});
    read_answer(p.fd, &p.answer, &p.text,
                "       Released v1\n"
                "       http://good.localhost:8080 deployed to Davit\n");
    /* Done is said only once requests go there, not while they still go to an older one. */
    routed_to("good", 0);
    routed_to("good", 1);
    expect_end(&p, "succeeded", "Verifying deploy... done.\n");
    assert_string_equal(field(local("GET", "/v1/apps/good", NULL), "branch"), "fix/one");
    /* It can be read again. */
    _cleanup_free_ char *path = xasprintf("/v1/builds/%s/output", p.id);
    const struct reply *r = local("GET", path, NULL);
    assert_string_equal(r->body.ptr, "-----> One\n-----> Two\n-----> Last\n");
    assert_string_equal(r->result, "succeeded");
}

static void a_build_that_fails_is_told(void **state)
{
    (void)state;
    create_app("worse");
    _cleanup_(push_end) struct push p = push_begin("worse", "branch=main");
    build_says(&p, "       cc: error\n");
    build_is(&p,
             (struct build_status){.state = BUILD_FAILED, .error = (char *)"failed to compile"});
    expect_end(&p, "failed", "       cc: error\n !     Push rejected, failed to compile\n");
    assert_string_equal(field(local("GET", "/v1/apps/worse", NULL), "branch"), "");
}

static void a_release_that_fails_is_told(void **state)
{
    (void)state;
    create_app("worst");
    release_is("worst", 1, (struct release_status){.state = RELEASE_LIVE});
    _cleanup_(push_end) struct push p = push_begin("worst", "");
    struct release_status s = {.state = RELEASE_FAILED, .reason = (char *)"web.1 exited"};
    strv_add(&s.log, "Error: no such thing");
    release_is("worst", 2, s);
    strv_release(&s.log);
    build_is(&p, (struct build_status){.state = BUILD_SUCCEEDED, .release = 2});
    expect_end(&p, "failed",
               "-----> Launching...\n"
               " !     Release v2 failed: web.1 exited\n"
               "       Error: no such thing\n"
               " !     v1 goes on serving\n");
}

static void app_says(const char *app, const char *process, const char *source, const char *text)
{
    char when[TIME_TEXT_LEN + 1];
    time_log_text(time_wall_us(), when);
    _cleanup_free_ char *dir = path_join(world.config.log, "%s", app),
                        *path = path_join(dir, "%s.log", process),
                        *line = xasprintf("%s %s[%s]: %s\n", when, source, process, text);
    assert_int_equal(dir_make(dir, 0755, NULL), 0);
    _cleanup_close_ int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    assert_int_equal(fd_write_all(fd, line, strlen(line), NULL), 0);
}

static void the_release_phase_is_heard(void **state)
{
    (void)state;
    create_app("phase");
    _cleanup_(push_end) struct push p = push_begin("phase", "");
    release_is("phase", 1, (struct release_status){.state = RELEASE_PREPARING});
    app_says("phase", "release.1", "app", "migrating");
    build_is(&p, (struct build_status){.state = BUILD_SUCCEEDED, .release = 1});
    read_answer(p.fd, &p.answer, &p.text,
                "-----> Launching...\n-----> Running the release phase...\n       migrating\n");
    app_says("phase", "web.1", "app", "somebody else");
    app_says("phase", "release.1", "davit", "State changed from starting to up");
    app_says("phase", "release.1", "app", "broken\033]0;\302\233");
    struct release_status s = {.state = RELEASE_FAILED,
                               .reason = (char *)"release phase exited with status 1"};
    strv_add(&s.log, "release.1: broken");
    release_is("phase", 1, s);
    strv_release(&s.log);
    expect_end(&p, "failed",
               "       migrating\n       broken\\u001b]0;\\u009b\n"
               " !     Release v1 failed: release phase exited with status 1\n"
               " !     The whole log");
}

static bool is_cancelled(const char *id)
{
    _cleanup_free_ char *key = key_build(id);
    _cleanup_(build_release) struct build b = {0};
    return get(key, &build_schema, &b) && b.cancel;
}

static void the_connection_is_the_leash(void **state)
{
    (void)state;
    create_app("leash");
    for (int talking = 0; talking < 2; talking++) {
        struct push p = push_begin("leash", "");
        if (talking) { /* the connection slept, was woken, and sleeps again */
            build_is(&p, (struct build_status){.state = BUILD_RUNNING});
            build_says(&p, "a word\n");
            read_answer(p.fd, &p.answer, &p.text, "a word");
        }
        assert_false(is_cancelled(p.id));
        close(TAKE_FD(p.fd));
        wait_until(is_cancelled(p.id));
        push_end(&p);
    }
}

static void two_pushes_queue(void **state)
{
    (void)state;
    create_app("queue");
    _cleanup_(push_end) struct push one = push_begin("queue", ""), two = push_begin("queue", "");
    _cleanup_free_ char *word =
        xasprintf("-----> Waiting for build %s of root to finish\n", one.id);
    read_answer(two.fd, &two.answer, &two.text, word);
    build_is(&one, (struct build_status){.state = BUILD_FAILED, .error = (char *)"it broke"});
    expect_end(&one, "failed", " !     Deploy rejected, it broke\n");
    build_is(&two, (struct build_status){.state = BUILD_CANCELLED});
    expect_end(&two, "cancelled", " !     Deploy cancelled\n");
    assert_true(strcmp(one.id, two.id) < 0);
}

static void who_waits_for_a_worker_is_told(void **state)
{
    (void)state;
    static const char *const apps[] = {"busy1", "busy2", "third"};
    for (size_t i = 0; i < ARRAY_LEN(apps); i++)
        create_app(apps[i]);
    _cleanup_(push_end) struct push one = push_begin("busy1", ""), two = push_begin("busy2", "");
    _cleanup_(push_end) struct push third = push_begin("third", "");
    build_is(&one, (struct build_status){.state = BUILD_RUNNING});
    read_answer(third.fd, &third.answer, &third.text, "builds of other apps; 2 run at once\n");
    build_is(&two, (struct build_status){.state = BUILD_CANCELLED});
    build_is(&third, (struct build_status){.state = BUILD_RUNNING});
    read_answer(third.fd, &third.answer, &third.text, "at once\n-----> The build begins\n");
    build_says(&third, "a word\n");
    build_is(&third, (struct build_status){.state = BUILD_CANCELLED});
    expect_end(&third, "cancelled", "-----> The build begins\na word\n !     Deploy cancelled\n");
    build_is(&one, (struct build_status){.state = BUILD_CANCELLED});
    expect_end(&one, "cancelled", " !     Deploy cancelled\n");
    expect_end(&two, "cancelled", " !     Deploy cancelled\n");
}

static void broken_uploads_leave_nothing(void **state)
{
    (void)state;
    create_app("half");
    _cleanup_free_ char *builds = path_join(world.config.state, "builds");
    struct stat before, after;
    assert_int_equal(stat(builds, &before), 0);
    _cleanup_free_ char *newest = newest_build("");
    int fd = dial(LOCAL);
    send_text(fd,
              "POST /v1/apps/half/builds HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
              "5\r\nhello\r\n");
    wait_until(stat(builds, &after) == 0 && after.st_nlink == before.st_nlink + 1);
    close(fd);
    wait_until(stat(builds, &after) == 0 && after.st_nlink == before.st_nlink);
    /* Larger than upload_max, 1 MiB here. */
    _cleanup_free_ char *body = xmalloc(1500000);
    memset(body, 'x', 1499999);
    body[1499999] = '\0';
    const struct reply *r = local("POST", "/v1/apps/half/builds", body);
    assert_int_equal(r->status, 413);
    assert_contains(field(r, "hint"), "upload_max");
    wait_until(stat(builds, &after) == 0 && after.st_nlink == before.st_nlink);
    assert_null(newest_build(newest ? newest : ""));
}

static void an_image_needs_no_body(void **state)
{
    (void)state;
    create_app("image");
    assert_int_equal(local("POST", "/v1/apps/image/builds?image=docker://x", "body")->status, 400);
    _cleanup_close_ int fd = dial(LOCAL);
    _cleanup_free_ char *before = newest_build(""), *id = NULL;
    send_text(fd, "POST /v1/apps/image/builds?image=docker://x HTTP/1.1\r\nHost: t\r\n"
                  "Content-Length: 0\r\n\r\n");
    wait_until((id = newest_build(before)));
    _cleanup_free_ char *key = key_build(id);
    _cleanup_(build_release) struct build b = {0};
    assert_true(get(key, &build_schema, &b));
    assert_string_equal(b.image, "docker://x");
    assert_null(b.archive);
}

static void the_leash_goes_with_the_api(void **state)
{
    (void)state;
    create_app("orphan");
    _cleanup_(push_end) struct push waits = push_begin("orphan", ""),
                                    done = push_begin("orphan", "");
    build_is(&done, (struct build_status){.state = BUILD_FAILED, .error = (char *)"x"});
    api_stop(SIGKILL);
    api_start();
    _cleanup_free_ char *leash = key_leash(waits.id);
    _cleanup_(leash_release) struct leash left = {0};
    wait_until(!get(leash, &leash_schema, &left));
    assert_false(is_cancelled(done.id));
    /* An orderly end does the same for those who wait at that moment. */
    _cleanup_(push_end) struct push last = push_begin("orphan", "");
    read_answer(last.fd, &last.answer, &last.text, "Waiting");
    api_stop(SIGTERM);
    assert_true(is_cancelled(last.id));
    api_start();
}

static void an_app_may_be_destroyed_meanwhile(void **state)
{
    (void)state;
    create_app("gone");
    _cleanup_(push_end) struct push p = push_begin("gone", "");
    destroy_app("gone");
    expect_end(&p, "failed", "was destroyed");
    _cleanup_free_ char *dir = path_join(world.config.state, "builds/%s", p.id);
    assert_false(path_exists(dir));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_push_succeeds),
        cmocka_unit_test(a_build_that_fails_is_told),
        cmocka_unit_test(a_release_that_fails_is_told),
        cmocka_unit_test(the_release_phase_is_heard),
        cmocka_unit_test(the_connection_is_the_leash),
        cmocka_unit_test(two_pushes_queue),
        cmocka_unit_test(who_waits_for_a_worker_is_told),
        cmocka_unit_test(broken_uploads_leave_nothing),
        cmocka_unit_test(an_image_needs_no_body),
        cmocka_unit_test(the_leash_goes_with_the_api),
        cmocka_unit_test(an_app_may_be_destroyed_meanwhile),
    };
    return cmocka_run_group_tests(tests, world_begin, world_end);
}
