/* What a check asks: answers to GET, and how commands end. */
#include "cm.h"

#include <gnutls/gnutls.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "os/file.h"
#include "os/spawn.h"
#include "run/command.h"
#include "run/httpget.h"
#include "test_run_listener.h"

struct got {
    uv_loop_t *loop;
    char why[512];
    bool done;
};

static void on_got(void *ctx, const char *why)
{
    struct got *g = ctx;
    snprintf(g->why, sizeof(g->why), "%s", why ? why : "passed");
    g->done = true;
}

/* One nobody has reason to trust. */
static void make_certificate(const char *dir)
{
    struct err err;
    _cleanup_free_ char *key = xasprintf("%s/key", dir), *cert = xasprintf("%s/cert", dir);
    const char *const argv[] = {
        "openssl", "req",           "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
        "-nodes",  "-keyout",       key,     "-out",    cert, "-days",    "1",
        "-subj",   "/CN=elsewhere", NULL};
    assert_ok(spawn_run(argv, (struct str){NULL, 0}, NULL, &err), err);
}

/* A conversation with `fd`, over TLS if there is a certificate. */
struct talk {
    int fd;
    gnutls_session_t tls;
};

static struct talk talk_begin(int fd, const char *certificate)
{
    struct talk t = {.fd = fd};
    gnutls_certificate_credentials_t own;
    if (!certificate)
        return t;
    _cleanup_free_ char *key = xasprintf("%s/key", certificate),
                        *cert = xasprintf("%s/cert", certificate);
    if (gnutls_certificate_allocate_credentials(&own) < 0 ||
        gnutls_certificate_set_x509_key_file(own, cert, key, GNUTLS_X509_FMT_PEM) < 0 ||
        gnutls_init(&t.tls, GNUTLS_SERVER) < 0 || gnutls_set_default_priority(t.tls) < 0 ||
        gnutls_credentials_set(t.tls, GNUTLS_CRD_CERTIFICATE, own) < 0)
        _exit(1);
    gnutls_transport_set_int(t.tls, fd);
    if (gnutls_handshake(t.tls) < 0)
        _exit(1);
    return t;
}

static ssize_t talk_read(const struct talk *t, char *data, size_t n)
{
    return t->tls ? gnutls_record_recv(t->tls, data, n) : read(t->fd, data, n);
}

static ssize_t talk_write(const struct talk *t, const char *data, size_t n)
{
    return !n ? 0 : t->tls ? gnutls_record_send(t->tls, data, n) : write(t->fd, data, n);
}

static void get(const char *certificate, const char *answer, bool hang, const struct check *check,
                struct got *ret, char request[1024])
{
    int server = listener("127.0.0.1", 15988), copy[2];
    assert_int_equal(pipe2(copy, O_CLOEXEC), 0);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        struct talk t = talk_begin(accept(server, NULL, NULL), certificate);
        ssize_t n = talk_read(&t, request, 1024);
        if (n < 0 || write(copy[1], request, (size_t)n) < 0 ||
            talk_write(&t, answer, strlen(answer)) < 0)
            _exit(1);
        if (hang)
            pause();
        _exit(0);
    }
    close(server);
    close(copy[1]);
    uv_loop_t loop;
    uv_loop_init(&loop);
    *ret = (struct got){.loop = &loop};
    httpget_start(&loop, "127.0.0.1", 15988, check, on_got, ret);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(ret->done);
    assert_int_equal(uv_loop_close(&loop), 0);
    ssize_t n = read(copy[0], request, 1023);
    request[MAX(n, (ssize_t)0)] = '\0';
    close(copy[0]);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static void answers_to_get(void **state)
{
    (void)state;
    static const struct {
        const char *answer, *content, *why;
        bool hang;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", NULL, "passed", true},
        {"HTTP/1.0 204 \r\n\r\n", NULL, "passed", false},
        {"HTTP/1.1 302 Found\r\n\r\n", NULL, "answered GET /up with 302", false},
        {"HTTP/1.1 503 No\r\n\r\n", NULL, "answered GET /up with 503", true},
        {"HTTP/1.1 200 OK\r\n\r\nall is well", "well", "passed", true},
        {"HTTP/1.1 200 OK\r\n\r\nall is lost", "well", "answered GET /up without \"well\"", false},
        {"SSH-2.0-OpenSSH\r\n", NULL, "did not answer GET /up in HTTP", true},
        {"", NULL, "did not answer GET /up in HTTP", false},
        {"", NULL, "did not answer GET /up in time", true},
    };
    struct err err;
    char dir[] = "/tmp/davit-tls-XXXXXX";
    assert_non_null(mkdtemp(dir));
    make_certificate(dir);
    for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
        size_t k = i / 2;
        bool tls = i % 2;
        char request[1024];
        struct got g;
        struct check c = {.path = (char *)"/up",
                          .scheme = (char *)(tls ? "HTTPS" : "http"),
                          .content = (char *)cases[k].content,
                          .timeout = 1};
        get(tls ? dir : NULL, cases[k].answer, cases[k].hang, &c, &g, request);
        assert_string_equal(g.why, cases[k].why);
        assert_string_equal(request, "GET /up HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                                     "User-Agent: davit-check\r\nConnection: close\r\n\r\n");
    }
    assert_ok(dir_remove(dir, &err), err);
}

static void what_get_sends(void **state)
{
    (void)state;
    char request[1024];
    struct got g;
    struct check c = {.path = (char *)"/a b\r\nX: y", .timeout = 1};
    map_set(&c.headers, "X-Token", "t");
    map_set(&c.headers, "Evil", "a\r\nInjected: 1");
    get(NULL, "HTTP/1.1 200 OK\r\n\r\n", false, &c, &g, request);
    assert_string_equal(request, "GET /a_b__X:_y HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Token: t\r\n"
                                 "User-Agent: davit-check\r\nConnection: close\r\n\r\n");
    map_set(&c.headers, "Host", "shop.example");
    get(NULL, "HTTP/1.1 200 OK\r\n\r\n", false, &c, &g, request);
    assert_contains(request, "Host: shop.example\r\n");
    assert_null(strstr(request, "127.0.0.1"));
    map_release(&c.headers);
}

static void where_nobody_listens_is_told(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct got g = {0};
    struct check c = {.path = (char *)"/", .timeout = 1};
    uv_loop_init(&loop);
    httpget_start(&loop, "127.0.0.1", 1, &c, on_got, &g);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_contains(g.why, "could not be asked GET /: connection refused");
    struct httpget *cancelled = httpget_start(&loop, "127.0.0.1", 1, &c, on_got, &g);
    g.done = false;
    httpget_cancel(cancelled);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_false(g.done);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void who_speaks_no_tls(void **state)
{
    (void)state;
    char request[1024];
    struct got g;
    struct check c = {.path = (char *)"/up", .scheme = (char *)"https", .timeout = 1};
    get(NULL, "HTTP/1.1 400 What?\r\n\r\n", true, &c, &g, request);
    assert_contains(g.why, "could not be asked GET /up by TLS: ");
    get(NULL, "", true, &c, &g, request);
    assert_string_equal(g.why, "did not answer GET /up in time");
    get(NULL, "", false, &c, &g, request);
    assert_string_equal(g.why, "did not answer GET /up in HTTP");
    assert_true(httpget_knows(NULL) && httpget_knows("") && httpget_knows("Http"));
    assert_false(httpget_knows("ftp"));
}

/* ---- commands ---- */

static void on_ended(void *ctx, int status) { *(int *)ctx = status; }

static void commands_end_or_are_ended(void **state)
{
    (void)state;
    static const struct {
        const char *script;
        int status;
    } cases[] = {
        {"exit 0", 0}, {"exit 3", 3}, {"kill -9 $$", 137}, {"sleep 60", COMMAND_TIMED_OUT}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *const argv[] = {"sh", "-c", cases[i].script, NULL};
        struct err err;
        struct command *c;
        uv_loop_t loop;
        int status = -99;
        uv_loop_init(&loop);
        assert_ok(command_start(&loop, argv, NULL, 300, on_ended, &status, &c, &err), err);
        uv_run(&loop, UV_RUN_DEFAULT);
        assert_int_equal(status, cases[i].status);
        assert_int_equal(uv_loop_close(&loop), 0);
    }
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* all were reaped */
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_to_get),
        cmocka_unit_test(what_get_sends),
        cmocka_unit_test(where_nobody_listens_is_told),
        cmocka_unit_test(who_speaks_no_tls),
        cmocka_unit_test(commands_end_or_are_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
