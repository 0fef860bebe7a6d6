#include "cm.h"

#include <errno.h>
#include <unistd.h>

#include "base/array.h"
#include "base/json.h"
#include "base/log.h"
#include "base/time.h"
#include "base/visible.h"
#include "base/words.h"

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

static int compare_ints(const void *key, const void *element)
{
    return *(const int *)key - *(const int *)element;
}

static void arrays_stay_sorted_as_they_grow_and_shrink(void **state)
{
    (void)state;
    int *items = NULL;
    size_t n = 0;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 1000; i++) {
            int value = i * 379 % 1000;
            size_t at = array_place(items, n, sizeof(*items), &value, compare_ints);
            *array_insert(items, n, at) = value;
        }
        assert_int_equal(n, 1000);
        for (int i = 0; i < 1000; i++)
            assert_int_equal(items[i], i);
        const int beyond = 1000;
        assert_int_equal(array_place(items, n, sizeof(*items), &beyond, compare_ints), n);
        while (n > 3)
            array_remove(items, n, 1);
        assert_int_equal(items[0], 0);
        assert_int_equal(items[1], 998);
        assert_int_equal(items[2], 999);
        n = 0;
    }
    for (int i = 0; i < 20; i++)
        *array_add(items, n) = i;
    for (int i = 0; i < 20; i++)
        assert_int_equal(items[i], i);
    free(items);
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

/* Who doesn't care why still learns that it failed, however deep that was. */
static int fails_by_errno(struct err *err)
{
    errno = ENOENT;
    return err_errno(err, "opening it") < 0 ? err_wrap(err, "outside") : 0;
}

static int fails_as_set(struct err *err)
{
    return err_set(err, ERR_CONFLICT, "it") < 0 ? err_wrap(err, "outside") : 0;
}

static void errors_nobody_looks_at(void **state)
{
    (void)state;
    assert_err(err_wrap(NULL, "nothing was set"), ERR_INTERNAL);
    assert_err(err_hint(NULL, "nothing was set"), ERR_INTERNAL);
    assert_err(fails_by_errno(NULL), ERR_NOT_FOUND);
    assert_int_equal(errno, ENOENT);
    assert_err(fails_as_set(NULL), ERR_CONFLICT);
    assert_err(fails_by_errno(NULL), ERR_NOT_FOUND);
    assert_err(err_hint(NULL, "look"), ERR_NOT_FOUND);
    assert_err(err_errno(NULL, "%s", "it"), ERR_NOT_FOUND);
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

static void buffers_hold_exactly_their_cap(void **state)
{
    (void)state;
    for (size_t n = 0; n < 300; n++) {
        _cleanup_(buf_release) struct buf b = BUF_CAP(n);
        for (size_t i = 0; i < n; i++)
            buf_addc(&b, 'x');
        assert_false(b.overflow);
        buf_addc(&b, 'y');
        assert_true(b.overflow);
        assert_int_equal(b.len, n);
        _cleanup_free_ char *text = buf_take(&b);
        assert_int_equal(strlen(text), n);
    }
    _cleanup_(buf_release) struct buf nothing = BUF_INIT;
    _cleanup_free_ char *text = buf_take(&nothing);
    assert_string_equal(text, "");
}

static void lists_of_texts_grow(void **state)
{
    (void)state;
    _cleanup_(strv_release) struct strv v = {0};
    char number[20];
    for (size_t i = 0; i < 100; i++) {
        snprintf(number, sizeof(number), "%zu", i);
        strv_add(&v, number);
        assert_int_equal(v.n, i + 1);
        assert_null(v.items[v.n]);
    }
    for (size_t i = 0; i < 100; i++) {
        snprintf(number, sizeof(number), "%zu", i);
        assert_string_equal(v.items[i], number);
    }
}

static void hex_writes_two_digits_a_byte_and_no_more(void **state)
{
    (void)state;
    _cleanup_free_ char *bytes = xmalloc(3), *text = xmalloc(7);
    memcpy(bytes, "\x00\x7f\xff", 3);
    hex_encode(bytes, 3, text);
    assert_string_equal(text, "007fff");
}

static void a_mistyped_word_finds_the_nearest(void **state)
{
    (void)state;
    static const char *const words[] = {"logs", "login", "apps", "releases", "rollback"};
    static const struct {
        const char *typed, *meant;
    } cases[] = {
        {"logs", "logs"},
        {"olgs", "logs"},
        {"lgos", "logs"},
        {"lo", "logs"},
        {"aps", "apps"},
        {"appps", "apps"},
        {"relaeses", "releases"},
        {"reaelses", "releases"},
        {"rolback", "rollback"},
        {"orllbakc", "rollback"},
        {"xyz", NULL},
        {"o", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *found = nearest(cases[i].typed, words, ARRAY_LEN(words));
        if (!cases[i].meant != !found || (found && !streq(found, cases[i].meant)))
            fail_msg("%s: %s", cases[i].typed, found ? found : "nothing");
    }
}

static void a_log_line_has_name_level_and_text(void **state)
{
    (void)state;
    int ends[2], stderr_was = dup(STDERR_FILENO);
    char text[300] = "";
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    log_init("room", LOG_LEVEL_INFO);
    log_debug("too much");
    log_warning("one\ntwo %d", 3);
    dup2(stderr_was, STDERR_FILENO);
    close(stderr_was);
    close(ends[1]);
    assert_true(read(ends[0], text, sizeof(text) - 1) > 0);
    close(ends[0]);
    _cleanup_free_ char *expected = xasprintf(" room[%d]: warning: one two 3\n", (int)getpid());
    assert_contains(text, expected);
    assert_string_equal(strchr(text, ' '), expected);
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

static void what_acts_on_a_terminal_is_spelled_out(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        unsigned flags;
        const char *shown;
        size_t left; /* bytes that were not taken */
    } cases[] = {
        {STR("plain\ttext\r\nline \"\\\" \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\n"), 0,
         "plain\ttext\r\nline \"\\\" \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\n", 0},
        {STR("\0a\x01\x1b]0;x\x07\b\r \x7f"), 0,
         "\\u0000a\\u0001\\u001b]0;x\\u0007\\u0008\\u000d \\u007f", 0},
        {STR("\xc2\x80\xc2\x9b"
             "31m\xc2\x9f\xc2\xa0"),
         0, "\\u0080\\u009b31m\\u009f\xc2\xa0", 0},
        {STR("\xd8\x9c\xe2\x80\x8e\xe2\x80\x8f\xe2\x80\xaa\xe2\x80\xae\xe2\x81\xa6\xe2\x81\xa9"), 0,
         "\\u061c\\u200e\\u200f\\u202a\\u202e\\u2066\\u2069", 0},
        {STR("\xe2\x80\x8d\xe2\x80\xaf\xe2\x81\xa5\xe2\x81\xaa"), 0,
         "\xe2\x80\x8d\xe2\x80\xaf\xe2\x81\xa5\xe2\x81\xaa", 0},
        /* bytes that are no UTF-8: alone, overlong, surrogates, beyond the last, cut off */
        {STR("\x9b"
             "2J\xff"),
         0, "\\x9b2J\\xff", 0},
        {STR("\xc0\x9b\xe0\x80\x9b"), 0, "\\xc0\\x9b\\xe0\\x80\\x9b", 0},
        {STR("\xed\xa0\x80\xf4\x90\x80\x80"), 0, "\\xed\\xa0\\x80\\xf4\\x90\\x80\\x80", 0},
        {STR("\xc3(\xe2\x82"), 0, "\\xc3(\\xe2\\x82", 0},
        /* the last of each form of UTF-8 */
        {STR("\xdf\xbf\xe0\xbf\xbf\xec\xbf\xbf\xed\x9f\xbf\xef\xbf\xbf"), 0,
         "\xdf\xbf\xe0\xbf\xbf\xec\xbf\xbf\xed\x9f\xbf\xef\xbf\xbf", 0},
        {STR("\xf0\xbf\xbf\xbf\xf3\xbf\xbf\xbf\xf4\x8f\xbf\xbf"), 0,
         "\xf0\xbf\xbf\xbf\xf3\xbf\xbf\xbf\xf4\x8f\xbf\xbf", 0},
        /* colours */
        {STR("\x1b[1;38;5;4mx\x1b[m"), 0, "\\u001b[1;38;5;4mx\\u001b[m", 0},
        {STR("\x1b[1;38:5;4mx\x1b[m"), VISIBLE_COLOURS, "\x1b[1;38:5;4mx\x1b[m", 0},
        {STR("\x1b[2J\x1b[?25m\x1b]m\x1b[3\x1b"), VISIBLE_COLOURS,
         "\\u001b[2J\\u001b[?25m\\u001b]m\\u001b[3\\u001b", 0},
        {STR("\x1b[1\0m"), VISIBLE_COLOURS, "\\u001b[1\\u0000m", 0},
        /* more may follow */
        {STR("a\xe2\x80"), VISIBLE_MORE, "a", 2},
        {STR("a\r"), VISIBLE_MORE, "a", 1},
        {STR("a\x1b"), VISIBLE_MORE | VISIBLE_COLOURS, "a", 1},
        {STR("a\x1b[31"), VISIBLE_MORE, "a\\u001b[31", 0},
        {STR("a\x1b[31"), VISIBLE_MORE | VISIBLE_COLOURS, "a", 4},
        {STR("\x1b[1111111111111111111111111111111111111111111111111111"),
         VISIBLE_MORE | VISIBLE_COLOURS,
         "\\u001b[1111111111111111111111111111111111111111111111111111", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_(buf_release) struct buf b = BUF_INIT;
        size_t taken = visible_add(&b, cases[i].text, cases[i].flags);
        assert_int_equal(cases[i].text.len - taken, cases[i].left);
        assert_string_equal(b.ptr ? b.ptr : "", cases[i].shown);
    }
}

static void json_texts_are_escaped(void **state)
{
    (void)state;
    _cleanup_(buf_release) struct buf b = BUF_INIT;
    json_quote(&b, STR("a\"\\\n\t\x01\xff\xc3\xa9\xed\xa0\x80/"));
    assert_string_equal(
        b.ptr,
        "\"a\\\"\\\\\\n\\t\\u0001\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd/\"");
    /* The first and the last of each form of UTF-8 stay; what is cut, overlong or too large
     * doesn't. */
    static const char *const good[] = {"\xc2\x80",         "\xdf\xbf",         "\xe0\xa0\x80",
                                       "\xe1\x80\x80",     "\xec\xbf\xbf",     "\xed\x9f\xbf",
                                       "\xee\x80\x80",     "\xef\xbf\xbf",     "\xf0\x90\x80\x80",
                                       "\xf1\x80\x80\x80", "\xf3\xbf\xbf\xbf", "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {
        "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80",     "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
        "\xe1\x80", "\xf1\x80\x80", "\xf5\x80\x80\x80", "\xe1\x80\x7f",     "\xf1\x80\x80\xc0"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        _cleanup_free_ char *expected = xasprintf("\"%s\"", good[i]);
        buf_reset(&b);
        json_quote(&b, str_of(good[i]));
        assert_string_equal(b.ptr, expected);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        buf_reset(&b);
        json_quote(&b, str_of(bad[i]));
        assert_contains(b.ptr, "\xef\xbf\xbd");
    }
}

static void json_gets_its_commas(void **state)
{
    (void)state;
    _cleanup_(buf_release) struct buf b = BUF_INIT;
    static const char *const none[] = {NULL}, *const two[] = {"x", "y", NULL};
    json_add_open(&b, NULL, '{');
    json_add_string(&b, "text", NULL);
    json_add_open(&b, "list", '[');
    json_add_int(&b, NULL, -1);
    json_add_open(&b, NULL, '{');
    json_add_close(&b, '}');
    json_add_bool(&b, NULL, true);
    json_add_close(&b, ']');
    json_add_list(&b, "none", none);
    json_add_list(&b, "two", two);
    json_add_raw(&b, "raw", STR("{\"a\":[]}"));
    json_add_close(&b, '}');
    assert_string_equal(b.ptr, "{\"text\":\"\",\"list\":[-1,{},true],\"none\":[],"
                               "\"two\":[\"x\",\"y\"],\"raw\":{\"a\":[]}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_keep_context_and_hint),
        cmocka_unit_test(long_errors_are_cut_not_overrun),
        cmocka_unit_test(arrays_stay_sorted_as_they_grow_and_shrink),
        cmocka_unit_test(errors_nobody_looks_at),
        cmocka_unit_test(numbers_have_bounds),
        cmocka_unit_test(buffers_stop_at_their_cap),
        cmocka_unit_test(buffers_hold_exactly_their_cap),
        cmocka_unit_test(lists_of_texts_grow),
        cmocka_unit_test(hex_writes_two_digits_a_byte_and_no_more),
        cmocka_unit_test(a_mistyped_word_finds_the_nearest),
        cmocka_unit_test(a_log_line_has_name_level_and_text),
        cmocka_unit_test(cutting_and_trimming),
        cmocka_unit_test(times_go_both_ways),
        cmocka_unit_test(what_acts_on_a_terminal_is_spelled_out),
        cmocka_unit_test(json_texts_are_escaped),
        cmocka_unit_test(json_gets_its_commas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
