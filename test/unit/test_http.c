/* The pure parts of the HTTP server: bodies, answers. */
#include "cm.h"

#include "http/body.h"
#include "http/reply.h"
#include "model/nouns.h"

/* --- bodies and answers ---------------------------------------------------------------------- */

static void test_a_body_is_one_json_object(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *complaint; /* NULL: fine */
    } cases[] = {
        {"{}", NULL},
        {" {\"a\": [1, {\"b\": \"]]]}}}\\\"{{{\"}]} ", NULL},
        {"", "empty"},
        {"   ", "empty"},
        {"[]", "must be a JSON object"},
        {"null", "not JSON"},
        {"{", "not JSON"},
        {"{} x", "not JSON"},
        {"{\"a\":1,\"a\":2}", "duplicate"},
        {"{\"a\":\"\\u0000\"}", "not JSON"},
        {"{\"a\":\"\xff\"}", "not JSON"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_(body_release) json_t *body = NULL;
        struct err err;
        int r = body_object(str_of(cases[i].text), &body, &err);
        assert_int_equal(r, cases[i].complaint ? -ERR_INVALID : 0);
        if (cases[i].complaint)
            assert_non_null(strstr(err.msg, cases[i].complaint));
    }
}

static void test_a_body_nests_only_so_deep(void **state)
{
    (void)state;
    for (int depth = BODY_DEPTH_MAX; depth <= BODY_DEPTH_MAX + 1; depth++) {
        _cleanup_(buf_release) struct buf b = BUF_INIT;
        _cleanup_(body_release) json_t *body = NULL;
        for (int i = 0; i < depth; i++)
            buf_adds(&b, "{\"a\":");
        buf_adds(&b, "1");
        for (int i = 0; i < depth; i++)
            buf_adds(&b, "}");
        struct err err;
        assert_int_equal(body_object(buf_str(&b), &body, &err),
                         depth > BODY_DEPTH_MAX ? -ERR_INVALID : 0);
    }
}

static void test_each_field_is_checked(void **state)
{
    (void)state;
    _cleanup_(body_release) json_t *body = NULL;
    struct err err;
    const char *text;
    int64_t n;
    bool on;
    assert_int_equal(body_object(STR("{\"name\":\"x\",\"n\":7,\"on\":false}"), &body, &err), 0);
    assert_int_equal(body_only(body, &err, "name", "n", "on", NULL), 0);
    assert_int_equal(body_only(body, &err, "name", "on", NULL), -ERR_INVALID);
    assert_non_null(strstr(err.msg, "'n'"));
    assert_int_equal(body_string(body, "name", &text, &err), 0);
    assert_string_equal(text, "x");
    assert_int_equal(body_string(body, "n", &text, &err), -ERR_INVALID);
    assert_int_equal(body_string(body, "other", &text, &err), -ERR_INVALID);
    assert_int_equal(body_int(body, "n", 0, 7, 1, &n, &err), 0);
    assert_int_equal(n, 7);
    assert_int_equal(body_int(body, "n", 0, 6, 1, &n, &err), -ERR_INVALID);
    assert_int_equal(body_int(body, "other", 0, 6, 1, &n, &err), 0);
    assert_int_equal(n, 1);
    assert_int_equal(body_bool(body, "on", &on, &err), 0);
    assert_false(on);
    assert_int_equal(body_bool(body, "name", &on, &err), -ERR_INVALID);
}

static void test_a_reply_is_valid_json(void **state)
{
    (void)state;
    _cleanup_(buf_release) struct buf b = BUF_INIT;
    struct domain d = {.host = (char *)"a.example"};
    struct user u = {.name = (char *)"ann", .role = ROLE_ADMIN};
    reply_open(&b, NULL, '{');
    reply_string(&b, "s", "ends with {");
    reply_string(&b, "none", NULL);
    reply_int(&b, "n", -3);
    reply_bool(&b, "on", true);
    reply_open(&b, "items", '[');
    reply_noun(&b, NULL, &domain_schema, &d);
    reply_noun_with(&b, &domain_schema, &d, "user", &user_schema, &u);
    reply_noun_with(&b, &domain_schema, &d, "user", &user_schema, NULL);
    reply_close(&b, ']');
    reply_close(&b, '}');
    assert_string_equal(b.ptr,
                        "{\"s\":\"ends with {\",\"none\":\"\",\"n\":-3,\"on\":true,\"items\":["
                        "{\"host\":\"a.example\"},"
                        "{\"host\":\"a.example\",\"user\":{\"name\":\"ann\",\"role\":\"admin\"}},"
                        "{\"host\":\"a.example\"}]}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_body_is_one_json_object),
        cmocka_unit_test(test_a_body_nests_only_so_deep),
        cmocka_unit_test(test_each_field_is_checked),
        cmocka_unit_test(test_a_reply_is_valid_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
