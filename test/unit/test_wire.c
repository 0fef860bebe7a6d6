/* The HTTP client against a server that says exactly what the test wants, on a Unix socket. */
#include "cm.h"

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/file.h"
#include "wire/http.h"
#include "wire/url.h"

static char socket_path[64];

/* Takes one connection, reads until `until` has come (NULL: the end of the headers), answers, and
 * writes what it read into the file beside the socket. */
static pid_t serve(const char *answer, const char *until)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(socket_path, sizeof(socket_path), "/tmp/davit-test-wire.%d", (int)getpid());
    memcpy(a.sun_path, socket_path, sizeof(socket_path));
    unlink(socket_path);
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(s, 1), 0);
    pid_t pid = fork();
    if (pid) {
        close(s);
        return pid;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int c = accept(s, NULL, NULL);
    struct buf got = BUF_CAP(1 << 20);
    char chunk[4096];
    ssize_t n;
    while (!strstr(got.ptr ? got.ptr : "", until ? until : "\r\n\r\n") &&
           (n = read(c, chunk, sizeof(chunk))) > 0)
        buf_add(&got, chunk, (size_t)n);
    _cleanup_free_ char *record = xasprintf("%s.got", socket_path);
    file_replace(record, buf_str(&got), 0600, NULL);
    fd_write_all(c, answer, strlen(answer), NULL);
    shutdown(c, SHUT_WR);
    /* Closing with bytes unread would reset the connection under the answer. */
    while (read(c, chunk, sizeof(chunk)) > 0)
        ;
    _exit(0);
}

/* What the server was sent; ends it. */
static char *sent(pid_t pid)
{
    struct buf b = BUF_CAP(1 << 20);
    waitpid(pid, NULL, 0);
    _cleanup_free_ char *record = xasprintf("%s.got", socket_path);
    file_read(record, &b, NULL);
    unlink(record);
    unlink(socket_path);
    return b.ptr ? buf_take(&b) : xstrdup("");
}

static int gather(void *ctx, const char *data, size_t n)
{
    buf_add(ctx, data, n);
    return 0;
}

static void a_request_and_its_answer(void **state)
{
    (void)state;
    struct err err;
    pid_t pid = serve("HTTP/1.1 201 Created\r\nContent-Length: 2\r\nX-It: a\r\nX-It:  b \r\n\r\n{}",
                      "{\"a\":1}");
    struct http_request q = {.method = "PATCH",
                             .url = "http://davit/v1/x?y=1",
                             .socket = socket_path,
                             .token = "secret",
                             .content_type = "application/json",
                             .body = STR("{\"a\":1}")};
    _cleanup_(http_response_release) struct http_response a = {0};
    assert_ok(http_send(&q, &a, &err), err);
    _cleanup_free_ char *request = sent(pid);
    assert_int_equal(a.status, 201);
    assert_string_equal(a.body.ptr, "{}");
    assert_true(str_eq(http_header(&a, "x-it"), STR("b")));
    assert_null(http_header(&a, "x-not").ptr);
    assert_contains(request, "PATCH /v1/x?y=1 HTTP/1.1\r\n");
    assert_contains(request, "Authorization: Bearer secret\r\n");
    assert_contains(request, "Content-Type: application/json\r\n");
    assert_null(strstr(request, "Expect"));
}

static void a_stream_with_a_trailer(void **state)
{
    (void)state;
    struct err err;
    pid_t pid =
        serve("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Davit-Result\r\n\r\n"
              "4\r\none\n\r\n4\r\ntwo\n\r\n0\r\nDavit-Result: failed\r\n\r\n",
              "\r\n0\r\n\r\n");
    _cleanup_(buf_release) struct buf got = BUF_INIT;
    int p[2];
    assert_int_equal(pipe(p), 0);
    assert_int_equal(write(p[1], "source tree", 11), 11);
    close(p[1]);
    struct http_request q = {.method = "POST",
                             .url = "http://davit/b",
                             .socket = socket_path,
                             .body_fd = p[0],
                             .sink = gather,
                             .ctx = &got};
    _cleanup_(http_response_release) struct http_response a = {0};
    assert_ok(http_send(&q, &a, &err), err);
    close(p[0]);
    _cleanup_free_ char *request = sent(pid);
    assert_string_equal(got.ptr, "one\ntwo\n");
    assert_true(str_eq(http_header(&a, "Davit-Result"), STR("failed")));
    assert_contains(request, "b\r\nsource tree\r\n0\r\n\r\n");
}

/* An error's body is kept, never streamed: it is a document about the error. */
static void a_refusal_does_not_go_to_the_sink(void **state)
{
    (void)state;
    struct err err;
    pid_t pid = serve("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone", NULL);
    _cleanup_(buf_release) struct buf got = BUF_INIT;
    struct http_request q = {.method = "GET",
                             .url = "http://davit/",
                             .socket = socket_path,
                             .sink = gather,
                             .ctx = &got};
    _cleanup_(http_response_release) struct http_response a = {0};
    assert_ok(http_send(&q, &a, &err), err);
    free(sent(pid));
    assert_int_equal(got.len, 0);
    assert_int_equal(a.status, 404);
    assert_string_equal(a.body.ptr, "none");
}

static void a_stream_that_breaks_off(void **state)
{
    (void)state;
    struct err err;
    pid_t pid = serve("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n", NULL);
    _cleanup_(buf_release) struct buf got = BUF_INIT;
    struct http_request q = {.method = "GET",
                             .url = "http://davit/",
                             .socket = socket_path,
                             .sink = gather,
                             .ctx = &got};
    _cleanup_(http_response_release) struct http_response a = {0};
    assert_err(http_send(&q, &a, &err), ERR_IO);
    free(sent(pid));
    assert_string_equal(got.ptr, "one\n");
}

static int refuse(void *ctx, const char *data, size_t n)
{
    (void)ctx, (void)data, (void)n;
    return -1;
}

static void a_sink_that_has_enough(void **state)
{
    (void)state;
    struct err err;
    pid_t pid = serve("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmore", NULL);
    struct http_request q = {
        .method = "GET", .url = "http://davit/", .socket = socket_path, .sink = refuse};
    _cleanup_(http_response_release) struct http_response a = {0};
    assert_err(http_send(&q, &a, &err), ERR_IO);
    free(sent(pid));
}

static void where_nobody_listens_is_told(void **state)
{
    (void)state;
    struct err err;
    struct http_request q = {
        .method = "GET", .url = "http://davit/", .socket = "/nonexistent/sock"};
    _cleanup_(http_response_release) struct http_response a = {0}, b = {0};
    assert_err(http_send(&q, &a, &err), ERR_UNAVAILABLE);
    assert_string_equal(err.msg, "nobody answers at /nonexistent/sock: No such file or directory");
    struct http_request tcp = {.method = "GET", .url = "http://127.0.0.1:1/"};
    assert_err(http_send(&tcp, &b, &err), ERR_UNAVAILABLE);
}

static void a_server_that_never_answers(void **state)
{
    (void)state;
    struct err err;
    pid_t pid = serve("", "this never comes");
    struct http_request q = {
        .method = "GET", .url = "http://davit/", .socket = socket_path, .timeout_ms = 50};
    _cleanup_(http_response_release) struct http_response a = {0};
    assert_err(http_send(&q, &a, &err), ERR_TIMEOUT);
    free(sent(pid));
}

static void urls_come_apart(void **state)
{
    (void)state;
    static const char *const good[][4] = {
        {"http://api.localhost:8080/git/shop.git", "http", "api.localhost:8080", "git/shop.git"},
        {"https://u:p@example.com", "https", "example.com", ""},
        {"https://example.com?x", "https", "example.com", ""},
        {"https://[::1]:8/a#b", "https", "[::1]:8", "a"},
    };
    static const char *const bad[] = {"",        "http:",     "http://",           "https:///x",
                                      "ftp://x", "httpx://y", "file:///etc/passwd"};
    struct url u;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_int_equal(url_split(good[i][0], &u, NULL), 0);
        assert_true(str_eq(u.scheme, str_of(good[i][1])));
        assert_true(str_eq(u.host, str_of(good[i][2])));
        assert_true(str_eq(u.path, str_of(good[i][3])));
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_err(url_split(bad[i], &u, NULL), ERR_INVALID);
}

static void components_are_encoded(void **state)
{
    (void)state;
    _cleanup_(buf_release) struct buf b = BUF_INIT;
    url_add_component(&b, STR("a/b?c&d=e f%\xc3\xa4~._-\n.."));
    assert_string_equal(b.ptr, "a%2Fb%3Fc%26d%3De%20f%25%C3%A4~._-%0A..");
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_and_its_answer),
        cmocka_unit_test(a_stream_with_a_trailer),
        cmocka_unit_test(a_refusal_does_not_go_to_the_sink),
        cmocka_unit_test(a_stream_that_breaks_off),
        cmocka_unit_test(a_sink_that_has_enough),
        cmocka_unit_test(where_nobody_listens_is_told),
        cmocka_unit_test(a_server_that_never_answers),
        cmocka_unit_test(urls_come_apart),
        cmocka_unit_test(components_are_encoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
