/* The router's log lines and HAProxy's configuration as text. */
#include "cm.h"

#include "gateway/conf.h"
#include "gateway/logline.h"

#define RAW(app, end, status, backend, server, rest)                                               \
    app "\t" end "\t" status "\t" backend "\t" server "\tGET\tshop.d\tid-1\t1.2.3.4\t" rest
#define LINE(outcome, dyno, times, status)                                                         \
    "NOW at=" outcome " method=GET path=\"/p\" host=shop.d request_id=id-1 "                       \
    "fwd=\"1.2.3.4\" dyno=" dyno " " times " status=" status                                       \
    " bytes=99 protocol=http1.1 tls=false\n"
#define SERVED "1\t17\t1\t99\tHTTP/1.1\t-\t/p"
#define UNSERVED "-1\t-1\t-1\t99\tHTTP/1.1\t-\t/p"
#define WEB "shop:web.2:v3.g0.2"
#define ERROR(code, text) "error code=" code " desc=\"" text "\""

static const struct {
    const char *raw, *line;
} lines[] = {
    {RAW("shop", "--", "200", "s1", WEB, SERVED),
     LINE("info", "web.2", "connect=1ms service=18ms", "200")},
    {RAW("shop", "LR", "503", "H14", "<NOSRV>", UNSERVED),
     LINE(ERROR("H14", "No web processes running"), "", "connect= service=", "503")},
    {RAW("shop", "LR", "503", "H80", "<NOSRV>", UNSERVED),
     LINE(ERROR("H80", "Maintenance mode"), "", "connect= service=", "503")},
    {RAW("shop", "sH", "504", "s1", WEB, "1\t-1\t-1\t99\tHTTP/1.1\t-\t/p"),
     LINE(ERROR("H12", "Request timeout"), "web.2", "connect=1ms service=", "503")},
    {RAW("shop", "SH", "502", "s1", WEB, UNSERVED),
     LINE(ERROR("H13", "Connection closed without response"), "web.2", "connect= service=", "503")},
    {RAW("shop", "PH", "502", "s1", WEB, UNSERVED),
     LINE(ERROR("H25", "HTTP restriction: malformed response, or more than 15 KB of headers"),
          "web.2", "connect= service=", "503")},
    {RAW("shop", "sD", "200", "s1", WEB, SERVED),
     LINE(ERROR("H15", "Idle connection"), "web.2", "connect=1ms service=18ms", "200")},
    {RAW("shop", "CD0", "200", "s1", WEB, "1\t17\t55001\t99\tHTTP/1.1\t-\t/p"), /* HAProxy 3.0 */
     LINE(ERROR("H15", "Idle connection"), "web.2", "connect=1ms service=55018ms", "200")},
    {RAW("shop", "CD0", "200", "s1", WEB, SERVED),
     LINE(ERROR("H27", "Client Request Interrupted"), "web.2", "connect=1ms service=18ms", "200")},
    {RAW("shop", "CD47", "200", "s1", WEB, "1\t17\t55001\t99\tHTTP/1.1\t-\t/p"),
     LINE(ERROR("H27", "Client Request Interrupted"), "web.2", "connect=1ms service=55018ms",
          "200")},
    {RAW("shop", "SD", "200", "s1", WEB, SERVED),
     LINE(ERROR("H18", "Server Request Interrupted"), "web.2", "connect=1ms service=18ms", "200")},
    {RAW("shop", "KD", "200", "s1", WEB, SERVED),
     LINE(ERROR("H18", "Server Request Interrupted"), "web.2", "connect=1ms service=18ms", "200")},
    {RAW("shop", "sC", "503", "s1", WEB, UNSERVED),
     LINE(ERROR("H19", "Backend connection timeout"), "web.2", "connect= service=", "503")},
    {RAW("shop", "SC", "503", "s1", WEB, UNSERVED),
     LINE(ERROR("H21", "Backend connection refused"), "web.2", "connect= service=", "503")},
    {RAW("shop", "CH", "-1", "s1", WEB, UNSERVED),
     LINE(ERROR("H27", "Client Request Interrupted"), "web.2", "connect= service=", "499")},
    {RAW("shop", "CH", "400", "s1", WEB, UNSERVED), /* as HAProxy 3.0 logs it */
     LINE(ERROR("H27", "Client Request Interrupted"), "web.2", "connect= service=", "499")},
    {RAW("shop", "CD", "200", "s1", WEB, SERVED),
     LINE(ERROR("H27", "Client Request Interrupted"), "web.2", "connect=1ms service=18ms", "200")},
    {RAW("shop", "LH", "503", "s1", WEB, UNSERVED), /* gateway.lua's */
     LINE(ERROR("H13", "Connection closed without response"), "web.2", "connect= service=", "503")},
    {RAW("shop", "RC", "500", "s1", WEB, UNSERVED),
     LINE(ERROR("H99", "Platform error"), "web.2", "connect= service=", "500")},
    {RAW("shop", "CD", "101", "s1", WEB, SERVED),
     LINE("info", "web.2", "connect=1ms service=18ms", "101")},
    /* lines of no app, and what isn't a line of ours */
    {RAW("-", "LR", "404", "unknown", "<NOSRV>", UNSERVED), NULL},
    {"Server s1/x is DOWN", NULL},
    {"", NULL},
    {"shop\t--\t200", NULL},
};

static void a_line_of_haproxy_becomes_one_of_the_app(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        _cleanup_(buf_release) struct buf b = BUF_INIT;
        struct str app;
        bool ours = log_format_line(str_of(lines[i].raw), "NOW ", &app, &b);
        assert_int_equal(ours, lines[i].line != NULL);
        if (!ours)
            continue;
        assert_string_equal(b.ptr, lines[i].line);
        assert_true(str_eq(app, STR("shop")));
    }
}

static void http2_and_tls_are_told(void **state)
{
    (void)state;
    _cleanup_(buf_release) struct buf b = BUF_INIT;
    struct str app;
    const char *raw = RAW("shop", "--", "200", "s1", WEB,
                          "0\t0\t0\t5\tHTTP/2.0\tTLSv1.3\thttps://shop.d:8443/a/b?c=https://x/y");
    assert_true(log_format_line(str_of(raw), "NOW ", &app, &b));
    assert_contains(b.ptr, " path=\"/a/b?c=https://x/y\" ");
    assert_contains(b.ptr, " protocol=http2 tls=true tls_version=tls1.3\n");
}

/* --- configuration -----------------------------------------------------------------------------
 */

static void parse(const char *settings, struct config *ret)
{
    struct err err;
    assert_ok(config_parse("/r", str_of(settings), ret, &err), err);
}

static void render(const struct config *c, const struct state *s, struct buf *ret)
{
    conf_render(c, (struct conf_limits){.files = 20000, .cpus = 2}, s, ret);
    assert_false(ret->overflow);
}

static void only_serving_servers_are_written(void **state)
{
    (void)state;
    _cleanup_(config_release) struct config c = {0};
    _cleanup_(state_release) struct state s = {.pool = 3};
    _cleanup_(buf_release) struct buf b = BUF_INIT;
    parse("http_port = 8123\nhttps_port = 0\n", &c);
    state_add_server(&s, "s2", "shop:web.1:v1", "10.0.0.1:5000");
    state_add_server(&s, "s2", "shop:web.1:v2", "10.0.0.2:5000");
    state_server(&s, "s2", "shop:web.1:v1")->stopped = true;
    render(&c, &s, &b);
    assert_contains(b.ptr, "  bind 127.0.0.1:8123\n");
    assert_null(strstr(b.ptr, "bind 127.0.0.1:0"));
    assert_contains(b.ptr, "  server shop:web.1:v2 10.0.0.2:5000 " CONF_SERVER_ARGS "\n");
    assert_null(strstr(b.ptr, "shop:web.1:v1"));
    assert_contains(b.ptr, "backend s3 ");
    assert_null(strstr(b.ptr, "backend s4 "));
}

static void changed_settings_are_seen(void **state)
{
    (void)state;
    _cleanup_(config_release) struct config c = {0}, other = {0};
    _cleanup_(state_release) struct state s = {.pool = 3};
    _cleanup_(buf_release) struct buf b = BUF_INIT;
    struct conf_limits limits = {.files = 20000, .cpus = 2};
    parse("", &c);
    parse("listen = 127.0.0.2\n", &other);
    state_add_server(&s, "s1", "shop:web.1:v1", "10.0.0.1:5000");
    render(&c, &s, &b);
    assert_true(conf_matches(&c, limits, buf_str(&b)));
    assert_false(conf_matches(&other, limits, buf_str(&b)));
    limits.cpus = 4;
    assert_false(conf_matches(&c, limits, buf_str(&b)));
    assert_false(conf_matches(&c, limits, STR("# something else\n")));
}

static void an_address_of_ipv6_is_told(void **state)
{
    (void)state;
    _cleanup_(config_release) struct config c = {0};
    _cleanup_(state_release) struct state s = {.pool = 1};
    _cleanup_(buf_release) struct buf b = BUF_INIT;
    parse("listen = ::1\nhttp_port = 8123\n", &c);
    render(&c, &s, &b);
    assert_contains(b.ptr, "  bind [::1]:8123\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_of_haproxy_becomes_one_of_the_app),
        cmocka_unit_test(http2_and_tls_are_told),
        cmocka_unit_test(only_serving_servers_are_written),
        cmocka_unit_test(changed_settings_are_seen),
        cmocka_unit_test(an_address_of_ipv6_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
