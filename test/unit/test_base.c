#include "cm.h"

#include <errno.h>

#include "base/time.h"

static void errors_keep_context_and_hint(void **state)
{
    (void)state;
    struct err err;
    errno = ENOSPC;
    assert_err(err_errno(&err, "writing %s", "x"), ERR_NO_SPACE);
    err_hint(&err, "free some");
    assert_err(err_wrap(&err, "starting %s", "shop"), ERR_NO_SPACE);
    assert_string_equal(err.msg, "starting shop: writing x: No space left on device");
    assert_string_equal(err.hint, "free some");
    assert_string_equal(err_code_name(err.code), "no_space");
    assert_int_equal(err_code_from_name("no_space"), ERR_NO_SPACE);
    assert_int_equal(err_code_from_name("nonsense"), ERR_INTERNAL);
    assert_int_equal(err_code_http(ERR_NOT_FOUND), 404);
    assert_int_equal(err_code_exit(ERR_USAGE), 2);
}

static void long_errors_are_cut_not_overrun(void **state)
{
    (void)state;
    struct err err;
    char large[5000];
    memset(large, 'x', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    err_set(&err, ERR_INVALID, "%s", large);
    err_wrap(&err, "%s", large);
    assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
}

static void numbers_have_bounds(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
    } cases[] = {{"0", true},
                 {"100", true},
                 {"101", false},
                 {"", false},
                 {"-1", false},
                 {" 1", false},
                 {"1x", false},
                 {"99999999999999999999", false},
                 {"18446744073709551617", false}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t v;
        assert_int_equal(str_to_u64(str_of(cases[i].text), 0, 100, &v, NULL) == 0, cases[i].ok);
    }
}

static void buffers_stop_at_their_cap(void **state)
{
    (void)state;
    _cleanup_(buf_release) struct buf b = BUF_CAP(10);
    buf_adds(&b, "12345678");
    assert_int_equal(buf_check(&b, "it", NULL), 0);
    buf_addf(&b, "%s", "abcdef");
    assert_string_equal(b.ptr, "12345678ab");
    assert_err(buf_check(&b, "it", NULL), ERR_TOO_LARGE);
    buf_consume(&b, 8);
    assert_string_equal(b.ptr, "ab");
}

static void cutting_and_trimming(void **state)
{
    (void)state;
    struct str rest = STR("a= b =c");
    assert_true(str_eq(str_cut(&rest, '='), STR("a")));
    assert_true(str_eq(str_trim(str_cut(&rest, '=')), STR("b")));
    assert_true(str_eq(str_cut(&rest, '='), STR("c")));
    assert_null(rest.ptr);
    assert_int_equal(str_trim(STR(" \t\r\n")).len, 0);
}

static void times_go_both_ways(void **state)
{
    (void)state;
    char text[TIME_TEXT_LEN + 1];
    time_log_text(1789571626677020, text);
    assert_string_equal(text, "2026-09-16T15:13:46.677020+00:00");
    assert_int_equal(time_parse(text), 1789571626677020);
    time_rfc3339(1789571626677020, text);
    assert_string_equal(text, "2026-09-16T15:13:46Z");
    assert_int_equal(time_parse(text), 1789571626000000);
    assert_int_equal(time_parse("yesterday"), -1);
    assert_int_equal(time_parse("2026-09-16T15:13:46"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_keep_context_and_hint),
        cmocka_unit_test(long_errors_are_cut_not_overrun),
        cmocka_unit_test(numbers_have_bounds),
        cmocka_unit_test(buffers_stop_at_their_cap),
        cmocka_unit_test(cutting_and_trimming),
        cmocka_unit_test(times_go_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
