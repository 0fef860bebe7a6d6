/* The pure parts of the HTTP server: bodies, answers. */
#include "cm.h"

#include "http/body.h"
#include "http/param.h"
#include "http/reply.h"
#include "model/nouns.h"

/* --- bodies and answers ---------------------------------------------------------------------- */

static void a_body_is_one_json_object(void **state)
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

static void a_body_nests_only_so_deep(void **state)
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

static int even_length(const char *text, struct err *err)
{
    return strlen(text) % 2 ? err_set(err, ERR_INVALID, "its length is odd") : 0;
}

static const struct text_kind even = {.check = even_length};

static void a_body_has_the_fields_its_route_declares(void **state)
{
    (void)state;
    static const char *const colours[] = {"red", "green", NULL};
    static const struct param fields[] = {
        {"name", "", .kind = &even, .required = true},
        {"n", "", PARAM_NUMBER, .min = 1, .max = 7},
        {"on", "", PARAM_FLAG},
        {"colour", "", .choices = colours, .nullable = true},
        {0},
    };
    static const struct {
        const char *body, *complaint; /* complaint NULL: fine */
    } cases[] = {
        {"{\"name\":\"xx\"}", NULL},
        {"{\"name\":\"xx\",\"n\":7,\"on\":false,\"colour\":\"green\"}", NULL},
        {"{\"name\":\"xx\",\"colour\":null}", NULL},
        {"{}", "'name' is missing"},
        {"{\"name\":\"x\"}", "name: its length is odd"},
        {"{\"name\":null}", "name: a string is needed"},
        {"{\"name\":5}", "name: a string is needed"},
        {"{\"name\":\"xx\",\"more\":1}", "no field 'more'"},
        {"{\"name\":\"xx\",\"n\":0}", "n: a whole number from 1 to 7"},
        {"{\"name\":\"xx\",\"n\":8}", "n: a whole number from 1 to 7"},
        {"{\"name\":\"xx\",\"n\":3.0}", NULL},
        {"{\"name\":\"xx\",\"n\":1e30}", "n: a whole number"},
        {"{\"name\":\"xx\",\"n\":1.5}", "n: a whole number"},
        {"{\"name\":\"xx\",\"on\":1}", "on: true or false"},
        {"{\"name\":\"xx\",\"colour\":\"blue\"}", "there is no 'blue', only red and green"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_(body_release) json_t *body = NULL;
        struct err err = {0};
        assert_ok(body_object(str_of(cases[i].body), &body, &err), err);
        assert_int_equal(param_check_body(fields, body, &err),
                         cases[i].complaint ? -ERR_INVALID : 0);
        if (cases[i].complaint)
            assert_contains(err.msg, cases[i].complaint);
    }
}

static void a_body_of_any_names_has_at_least_one(void **state)
{
    (void)state;
    static const struct param fields[] = {
        {"thing", "", PARAM_NUMBER, .any = true, .names = &even, .max = 9}, {0}};
    static const struct {
        const char *body;
        int result;
    } cases[] = {{"{\"ab\":1,\"cd\":9}", 0},
                 {"{}", -ERR_INVALID},
                 {"{\"ab\":10}", -ERR_INVALID},
                 {"{\"abc\":1}", -ERR_INVALID}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_(body_release) json_t *body = NULL;
        struct err err = {0};
        assert_ok(body_object(str_of(cases[i].body), &body, &err), err);
        assert_int_equal(param_check_body(fields, body, &err), cases[i].result);
    }
}

static void a_reply_is_valid_json(void **state)
{
    (void)state;
    _cleanup_(buf_release) struct buf b = BUF_INIT;
    struct domain d = {.host = (char *)"a.example"};
    struct user u = {.name = (char *)"ann", .role = ROLE_ADMIN};
    json_add_open(&b, NULL, '{');
    json_add_string(&b, "s", "ends with {");
    json_add_string(&b, "none", NULL);
    json_add_int(&b, "n", -3);
    json_add_bool(&b, "on", true);
    json_add_open(&b, "items", '[');
    reply_noun(&b, NULL, &domain_schema, &d);
    reply_noun_with(&b, &domain_schema, &d, "user", &user_schema, &u);
    reply_noun_with(&b, &domain_schema, &d, "user", &user_schema, NULL);
    json_add_close(&b, ']');
    json_add_close(&b, '}');
    assert_string_equal(b.ptr,
                        "{\"s\":\"ends with {\",\"none\":\"\",\"n\":-3,\"on\":true,\"items\":["
                        "{\"host\":\"a.example\"},"
                        "{\"host\":\"a.example\",\"user\":{\"name\":\"ann\",\"role\":\"admin\"}},"
                        "{\"host\":\"a.example\"}]}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_is_one_json_object),
        cmocka_unit_test(a_body_nests_only_so_deep),
        cmocka_unit_test(a_body_has_the_fields_its_route_declares),
        cmocka_unit_test(a_body_of_any_names_has_at_least_one),
        cmocka_unit_test(a_reply_is_valid_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
