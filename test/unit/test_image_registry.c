/* Images of a registry, Debian's docker-registry. */
#include "test_image_fixture.h"

#include <netinet/in.h>

#include "os/file.h"
#include "os/spawn.h"

/* Debian's docker-registry on a port of its own. */
struct registry {
    pid_t pid;
    int port;
};

static int free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    _cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    return ntohs(a.sin_port);
}

static bool answers(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                            .sin_port = htons((uint16_t)port)};
    _cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
}

/* With `users` as lines of htpasswd it lets only those in. */
static void registry_start(struct registry *g, struct fixture *f, const char *users)
{
    g->port = free_port();
    _cleanup_free_ char *config = below(f, "registry.yml"), *storage = below(f, "registry"),
                        *htpasswd = below(f, "htpasswd");
    _cleanup_free_ char *auth =
        users ? xasprintf("auth: {htpasswd: {realm: r, path: %s}}\n", htpasswd) : xstrdup("");
    _cleanup_free_ char *text =
        xasprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\n"
                  "http: {addr: '127.0.0.1:%d'}\n%s",
                  storage, g->port, auth);
    assert_ok(file_replace(htpasswd, str_of(users ? users : ""), 0644, &f->err), f->err);
    assert_ok(file_replace(config, str_of(text), 0644, &f->err), f->err);
    const char *const argv[] = {"docker-registry", "serve", config, NULL};
    struct spawn s = {.argv = argv, .fds = {-1, -1, -1}, .die_with_parent = true};
    g->pid = spawn_start(&s, &f->err);
    assert_ok(g->pid, f->err);
    for (int i = 0; i < 1000 && !answers(g->port); i++)
        usleep(10000); /* it tells nobody when it listens */
    assert_true(answers(g->port));
}

static void registry_stop(struct registry *g)
{
    kill(g->pid, SIGKILL);
    spawn_wait(g->pid);
}

static void images_come_from_a_registry(void **state)
{
    struct fixture *f = *state;
    struct registry g;
    struct image_store *other;
    _cleanup_free_ char *digest = make_image(f), *dir = below(f, "out"), *inner = below(f, "other"),
                        *source = xasprintf("oci:%s:v1", dir), *again = NULL;
    assert_ok(image_export(f->store, digest, dir, "v1", &f->err), f->err);
    registry_start(&g, f, NULL);
    _cleanup_free_ char *there = xasprintf("docker://127.0.0.1:%d/app:v1", g.port),
                        *missing = xasprintf("docker://127.0.0.1:%d/app:v2", g.port);
    RUN("skopeo", "--insecure-policy", "copy", "-q", "--dest-tls-verify=false", source, there);
    assert_ok(image_store_open(inner, FIXTURE_UID, &other, &f->err), f->err);
    assert_ok(image_import(other, there, NULL, &again, &f->err), f->err);
    assert_string_equal(again, digest);
    assert_err(image_import(other, missing, NULL, &again, &f->err), ERR_NOT_FOUND);
    assert_contains(f->err.msg, "app:v2");
    const struct unpack_limits tiny = {.bytes = 1, .hint = "less"};
    assert_err(image_import(other, there, &tiny, &again, &f->err), ERR_TOO_LARGE);
    assert_string_equal(f->err.hint, "less");
    registry_stop(&g);
    assert_err(image_import(other, there, NULL, &again, &f->err), ERR_UNAVAILABLE);
    assert_contains(f->err.msg, "refused");
    assert_int_equal(folder_count(f, "other/tmp"), 0);
    image_store_close(other);
}

static void a_registry_may_want_a_password(void **state)
{
    struct fixture *f = *state;
    struct registry g;
    struct image_store *other;
    _cleanup_free_ char *digest = make_image(f), *dir = below(f, "out"), *inner = below(f, "other"),
                        *source = xasprintf("oci:%s:v1", dir), *auth = below(f, "auth.json"),
                        *again = NULL;
    assert_ok(image_export(f->store, digest, dir, "v1", &f->err), f->err);
    registry_start(&g, f, "ann:$2b$04$.WYn7StFtPLSZAwBfikgLeOrQw8gMlZ2OQND.Sby8XM/pTJu/2aey\n");
    _cleanup_free_ char *there = xasprintf("docker://127.0.0.1:%d/app:v1", g.port),
                        *name = xasprintf("127.0.0.1:%d", g.port);
    RUN("skopeo", "--insecure-policy", "copy", "-q", "--dest-tls-verify=false",
        "--dest-creds=ann:secret", source, there);
    assert_ok(image_store_open(inner, FIXTURE_UID, &other, &f->err), f->err);
    image_store_authfile(other, auth);
    assert_err(image_import(other, there, NULL, &again, &f->err), ERR_FORBIDDEN);
    assert_contains(f->err.hint, "skopeo login --authfile");
    assert_contains(f->err.hint, name);
    RUN("skopeo", "login", "--tls-verify=false", "--authfile", auth, "-u", "ann", "-p", "secret",
        name);
    assert_ok(image_import(other, there, NULL, &again, &f->err), f->err);
    assert_string_equal(again, digest);
    registry_stop(&g);
    image_store_close(other);
}

static void what_nobody_wants_any_more_ends(void **state)
{
    struct fixture *f = *state;
    bool flag = false;
    struct image_store *other;
    _cleanup_free_ char *digest = make_image(f), *dir = below(f, "out"), *inner = below(f, "other"),
                        *source = xasprintf("oci:%s:v1", dir), *again = NULL, *tmp = NULL;
    assert_ok(image_export(f->store, digest, dir, "v1", &f->err), f->err);
    assert_ok(image_store_open(inner, FIXTURE_UID, &other, &f->err), f->err);
    image_interrupt_on(&flag);
    flag = true;
    assert_err(image_import(other, source, NULL, &again, &f->err), ERR_CANCELLED);
    assert_int_equal(folder_count(f, "other/tmp"), 0);
    _cleanup_free_ char *elsewhere = below(f, "elsewhere");
    assert_err(image_export(f->store, digest, elsewhere, "v1", &f->err), ERR_CANCELLED);
    assert_ok(image_tmp_dir(f->store, &tmp, &f->err), f->err);
    assert_err(image_layer_seal(f->store, tmp, &again, &f->err), ERR_CANCELLED);
    flag = false;
    assert_ok(image_import(other, source, NULL, &again, &f->err), f->err);
    assert_string_equal(again, digest);
    image_interrupt_on(NULL);
    image_store_close(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(images_come_from_a_registry),
        fixture_test(a_registry_may_want_a_password),
        fixture_test(what_nobody_wants_any_more_ends),
    };
    return cmocka_run_group_tests_name("image_registry", tests, NULL, NULL);
}
