#include "test_api_fixture.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "api/api.h"
#include "api/auth.h"
#include "base/log.h"
#include "base/time.h"
#include "os/file.h"
#include "os/spawn.h"
#include "os/unix.h"

struct world world;

static char *socket_path(int door)
{
    return path_join(world.config.run, door == LOCAL ? "davit.sock" : "gateway-api.sock");
}

void api_start(void)
{
    world.api = fork();
    if (world.api == 0) {
        log_init("api", LOG_LEVEL_WARNING);
        _exit(api_operator.main(&world.config));
    }
    int fd;
    _cleanup_free_ char *path = socket_path(GATEWAY); /* opened last */
    wait_until((fd = unix_connect(path, NULL)) >= 0);
    close(fd);
}

void api_stop(int number)
{
    assert_true(world.api > 0); /* or it would be our own group */
    kill(world.api, number);
    int status = spawn_wait(world.api);
    assert_int_equal(status, number == SIGKILL ? 128 + SIGKILL : 0);
}

int world_begin(void **state)
{
    (void)state;
    struct err err;
    char root[] = "/tmp/test_api.XXXXXX";
    if (!mkdtemp(root))
        return -1;
    assert_ok(
        config_parse(root, STR("upload_max = 1\nretain_events = 1000\n"), &world.config, &err),
        err);
    _cleanup_free_ char *store = path_join(world.config.state, "store");
    assert_ok(dir_make(store, 0755, &err), err);
    assert_ok(store_open(world.config.store_url, &world.store, &err), err);
    signal(SIGPIPE, SIG_IGN);
    api_start();
    return 0;
}

int world_end(void **state)
{
    (void)state;
    api_stop(SIGTERM);
    store_close(world.store);
    int r = dir_remove(world.config.root, NULL);
    config_release(&world.config);
    return r;
}

/* --- HTTP ------------------------------------------------------------------------------------ */

int dial(int door)
{
    struct err err;
    _cleanup_free_ char *path = socket_path(door);
    int fd = unix_connect(path, &err);
    assert_ok(fd, err);
    return fd;
}

void send_text(int fd, const char *fmt, ...)
{
    _cleanup_(buf_release) struct buf b = BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    buf_vaddf(&b, fmt, ap);
    va_end(ap);
    fd_write_all(fd, b.ptr, b.len, NULL); /* one that hung up is seen when reading */
}

void read_answer(int fd, struct answer *a, struct buf *body, const char *until)
{
    while (a->state != ANSWER_DONE && !(until && body->len && strstr(body->ptr, until))) {
        char piece[4096];
        struct err err;
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 10000) != 1)
            fail_msg("no more came within 10 s, after: %s", body->ptr ? body->ptr : "");
        ssize_t n = read(fd, piece, sizeof(piece));
        if (n <= 0)
            return;
        assert_ok(answer_feed(a, piece, (size_t)n, body, &err), err);
    }
}

const struct reply *http(int door, const char *method, const char *path, const char *headers,
                         const char *body)
{
    static struct reply reply;
    struct answer a;
    _cleanup_close_ int fd = dial(door);
    buf_release(&reply.body);
    reply = (struct reply){.body = BUF_INIT};
    buf_adds(&reply.body, "");
    send_text(fd, "%s %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n%s", method, path, headers);
    if (body)
        send_text(fd, "Content-Length: %zu\r\n", strlen(body));
    send_text(fd, "\r\n%s", body ? body : "");
    answer_init(&a);
    read_answer(fd, &a, &reply.body, NULL);
    reply.status = a.state == ANSWER_DONE ? a.status : 0;
    memcpy(reply.result, a.result, sizeof(reply.result));
    answer_release(&a);
    buf_addc(&reply.body, '\0');
    return &reply;
}

const char *field(const struct reply *r, const char *name)
{
    static char *value;
    free(value);
    _cleanup_free_ char *key = xasprintf("\"%s\":\"", name);
    const char *at = strstr(r->body.ptr, key);
    if (!at)
        fail_msg("no field '%s' in %s", name, r->body.ptr);
    at += strlen(key);
    return value = xstrndup(at, strcspn(at, "\""));
}

/* --- the store ------------------------------------------------------------------------------- */

void put(const char *key, const struct schema *s, const void *value)
{
    struct err err;
    _cleanup_(txn_release) struct txn t = {0};
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    model_encode(s, value, &json);
    txn_put(&t, key, buf_str(&json), 0);
    assert_ok(store_txn(world.store, &t, NULL, &err), err);
}

bool get(const char *key, const struct schema *s, void *ret)
{
    _cleanup_(kv_release) struct kv kv = {0};
    struct err err;
    if (store_get(world.store, key, &kv, &err) < 0)
        return false;
    assert_ok(model_decode(s, (struct str){kv.value, kv.value_len}, ret, &err), err);
    return true;
}

void make_deployed_app(const char *name)
{
    _cleanup_free_ char *body = xasprintf("{\"name\":\"%s\"}", name), *desired = key_desired(name),
                        *release = key_release(name, 1), *status = key_release_status(name, 1),
                        *path = xasprintf("/v1/apps/%s/releases", name),
                        *blobs = path_join(world.config.state, "images/blobs/sha256"),
                        *blob = path_join(blobs, AAAA);
    assert_int_equal(local("POST", "/v1/apps", body)->status, 201);
    dir_make(blobs, 0755, NULL);
    assert_int_equal(file_replace(blob, STR("{}"), 0644, NULL), 0);
    struct process processes[] = {{.type = (char *)"web", .quantity = 1},
                                  {.type = (char *)"worker"},
                                  {.type = (char *)"release"}};
    struct release r = {.number = 1,
                        .image = (char *)"sha256:" AAAA,
                        .description = (char *)"Deploy",
                        .processes = {processes, ARRAY_LEN(processes)}};
    struct release_status s = {.state = RELEASE_LIVE};
    struct desired d = {.release = 1};
    put(status, &release_status_schema, &s);
    put(release, &release_schema, &r);
    put(desired, &desired_schema, &d);
    /* The api has seen it when it shows it. */
    wait_until(strstr(local("GET", path, NULL)->body.ptr, "\"number\":1"));
}

static void remove_remains(const char *name, const char *who)
{
    struct err err;
    _cleanup_(txn_release) struct txn t = {0};
    _cleanup_free_ char *key = key_remains(name, who);
    _cleanup_(remains_release) struct remains left = {0};
    wait_until(get(key, &remains_schema, &left));
    txn_delete(&t, key);
    assert_ok(store_txn(world.store, &t, NULL, &err), err);
}

void destroy_app(const char *name)
{
    struct answer a;
    _cleanup_(buf_release) struct buf body = BUF_INIT;
    _cleanup_close_ int fd = dial(LOCAL);
    answer_init(&a);
    send_text(fd, "DELETE /v1/apps/%s HTTP/1.1\r\nHost: t\r\n\r\n", name);
    for (const char *const *who = remains_operators; *who; who++)
        if (!streq(*who, "api"))
            remove_remains(name, *who);
    read_answer(fd, &a, &body, NULL);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.result, "succeeded");
    answer_release(&a);
}

char *make_token(const char *user, int role, const char *expires)
{
    static int number;
    char hash[TOKEN_HASH_LEN + 1];
    char *secret = xasprintf("secret-of-%s-%d", user, ++number);
    token_hash(str_of(secret), hash);
    _cleanup_free_ char *user_key = key_user(user), *token_key = key_token(hash);
    put(user_key, &user_schema, &(struct user){.name = (char *)user, .role = role});
    put(token_key, &token_schema,
        &(struct token){.user = (char *)user, .expires = (char *)expires});
    _cleanup_free_ char *header = xasprintf("Authorization: Bearer %s\r\n", secret);
    if (!*expires)
        wait_until(http(GATEWAY, "GET", "/v1/status", header, NULL)->status == 200);
    return secret;
}
