/* The line, the file that is written, and reading: merged by time, the last n, through rotations,
 * following. */
#include "cm.h"

#include <fcntl.h>

#include "log/file.h"
#include "log/reader.h"
#include "log/tail.h"
#include "os/file.h"

static char dir[64];

static int set_up(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/test_log.XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return dir_remove(dir, NULL);
}

/* Appends line number n, whose time is n milliseconds after some start. */
static void append(const char *file, int n, const char *source, const char *process)
{
    char when[TIME_TEXT_LEN + 1];
    time_log_text(1790000000000000 + n * 1000, when);
    _cleanup_free_ char *path = xasprintf("%s/%s", dir, file),
                        *line = xasprintf("%s %s[%s]: %d\n", when, source, process, n);
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert_int_equal(fd_write_all(fd, line, strlen(line), NULL), 0);
}

static void rotate(const char *file, int keep)
{
    for (int i = keep; i > 0; i--) {
        _cleanup_free_ char *from = i > 1 ? xasprintf("%s/%s.%d", dir, file, i - 1)
                                          : xasprintf("%s/%s", dir, file),
                            *to = xasprintf("%s/%s.%d", dir, file, i);
        rename(from, to);
    }
}

static struct log_reader *start(struct log_query q)
{
    struct log_reader *r = log_reader_new(dir, &q);
    while (!log_reader_search(r))
        ;
    return r;
}

/* The numbers of the lines there are now, "3 4 5". */
static void expect(struct log_reader *r, const char *numbers)
{
    _cleanup_(buf_release) struct buf got = BUF_INIT;
    struct log_line line;
    while (log_reader_next(r, &line))
        buf_addf(&got, "%s%.*s", got.len ? " " : "", (int)line.message.len, line.message.ptr);
    assert_string_equal(buf_str(&got).ptr, numbers);
}

static void expect_all(struct log_query q, const char *numbers)
{
    _cleanup_(log_reader_freep) struct log_reader *r = start(q);
    expect(r, numbers);
}

static void a_line_is_taken_apart(void **state)
{
    (void)state;
    struct log_line l;
    assert_true(log_line_parse(STR("2026-09-16T15:13:46.677020+00:00 app[web.1]: a: [b] c"), &l));
    assert_true(str_eq(l.source, STR("app")) && str_eq(l.process, STR("web.1")));
    assert_true(str_eq(l.message, STR("a: [b] c")));
    assert_true(log_line_parse(STR("2026-09-16T15:13:46.677020+00:00 app[web.1]: "), &l));
    assert_int_equal(l.message.len, 0);
    static const char *const not [] = {"",
                                       "2026-09-16T15:13:46.677020+00:00",
                                       "2026-09-16T15:13:46.677020+00:00 app[web.1",
                                       "2026-09-16T15:13:46.677020+00:00 [web.1]: x",
                                       "2026-09-16 app[web.1]: x",
                                       "2026-09-16T15:13:46.677020+00:00 app[web.1] x"};
    for (size_t i = 0; i < ARRAY_LEN(not ); i++)
        assert_false(log_line_parse(str_of(not [i]), &l));
}

static void a_line_is_written_as_it_is_parsed(void **state)
{
    (void)state;
    struct log_line l;
    _cleanup_(buf_release) struct buf line = BUF_INIT;
    log_line_format("davit", "web.1", STR("two\nlines"), &line);
    assert_int_equal(line.ptr[line.len - 1], '\n');
    assert_true(log_line_parse((struct str){line.ptr, line.len - 1}, &l));
    assert_true(str_eq(l.source, STR("davit")) && str_eq(l.process, STR("web.1")));
    assert_true(str_eq(l.message, STR("two lines")));
}

/* ---- writing ---- */

static void assert_file(const char *name, const char *text)
{
    struct err err;
    _cleanup_(buf_release) struct buf got = BUF_INIT;
    _cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
    if (!text) {
        assert_err(file_read(path, &got, &err), ERR_NOT_FOUND);
        return;
    }
    assert_ok(file_read(path, &got, &err), err);
    assert_string_equal(buf_str(&got).ptr, text);
}

static void several_writers_rotate_one_log(void **state)
{
    (void)state;
    struct err err;
    struct log_file a, b;
    _cleanup_free_ char *path = xasprintf("%s/shop/web.1.log", dir);
    log_file_init(&a, path, true, 8, 3);
    log_file_init(&b, path, true, 8, 3);
    for (int i = 0; i < 5; i++) {
        _cleanup_free_ char *text = xasprintf("%d%d%d\n", i, i, i);
        assert_ok(log_file_write(i % 2 ? &a : &b, text, 4, &err), err);
    }
    assert_file("shop/web.1.log.2", "000\n111\n");
    assert_file("shop/web.1.log.1", "222\n333\n");
    assert_file("shop/web.1.log", "444\n");
    assert_ok(log_file_write(&a, "5555555\n", 8, &err), err);
    assert_ok(log_file_write(&b, "6\n", 2, &err), err);
    assert_file("shop/web.1.log.2", "444\n");
    assert_file("shop/web.1.log", "6\n");
    assert_file("shop/web.1.log.3", NULL);
    log_file_release(&a);
    log_file_release(&b);
}

static void a_line_is_rotated_as_a_whole(void **state)
{
    (void)state;
    struct err err;
    struct log_file f;
    _cleanup_free_ char *path = xasprintf("%s/davitd.log", dir);
    log_file_init(&f, path, false, 8, 2);
    assert_ok(log_file_write(&f, "123456", 6, &err), err);
    assert_ok(log_file_write(&f, "789\n", 4, &err), err);
    assert_ok(log_file_write(&f, "next\n", 5, &err), err);
    assert_file("davitd.log.1", "123456789\n");
    assert_file("davitd.log", "next\n");
    log_file_release(&f);
}

static void only_the_platforms_own_folder_may_be_a_link(void **state)
{
    (void)state;
    struct err err;
    _cleanup_free_ char *link = xasprintf("%s/link", dir), *path = xasprintf("%s/x.log", link);
    assert_int_equal(symlink(".", link), 0);
    for (int shared = 0; shared < 2; shared++) {
        struct log_file f;
        log_file_init(&f, path, shared, 100, 2);
        assert_int_equal(log_file_write(&f, "a\n", 2, &err) < 0, shared);
        log_file_release(&f);
    }
    assert_file("x.log", "a\n");
}

static void a_tail_is_kept_as_long_as_it_is_wanted(void **state)
{
    (void)state;
    struct err err;
    struct tail t;
    _cleanup_free_ char *path = xasprintf("%s/tail", dir);
    _cleanup_(strv_release) struct strv got = {0}, none = {0};
    static char lines[TAIL_MAX / 2];
    memset(lines, 'x', sizeof(lines));
    lines[sizeof(lines) - 1] = '\n';
    tail_init(&t, path);
    assert_ok(tail_want(path, &err), err);
    tail_add(&t, "first\n", 6);
    tail_add(&t, lines, sizeof(lines));
    tail_add(&t, lines, sizeof(lines));
    tail_add(&t, "last\n", 5);
    tail_read(path, &got);
    assert_int_equal(got.n, 4);
    assert_string_equal(got.items[0], "first");
    assert_string_equal(got.items[3], "last");
    tail_forget(path);
    tail_add(&t, "more\n", 5);
    tail_read(path, &none);
    assert_int_equal(none.n, 0);
    assert_false(path_exists(path));
    tail_release(&t);
}

/* ---- reading ---- */

static void logs_are_merged_by_time_and_filtered(void **state)
{
    (void)state;
    for (int i = 0; i < 12; i++) {
        static const char *const files[] = {"web.1.log", "web.2.log", "worker.1.log", "router.log"};
        static const char *const names[] = {"web.1", "web.2", "worker.1", "router"};
        append(files[i % 4], i, i % 4 == 3 || i == 8 ? "davit" : "app", names[i % 4]);
        if (i == 6)
            rotate("web.1.log", 2);
    }
    expect_all((struct log_query){.n = 100}, "0 1 2 3 4 5 6 7 8 9 10 11");
    expect_all((struct log_query){.n = 5}, "7 8 9 10 11");
    expect_all((struct log_query){.n = 0}, "");
    expect_all((struct log_query){.n = 100, .process = "web"}, "0 1 4 5 8 9");
    expect_all((struct log_query){.n = 100, .process = "web.1"}, "0 4 8");
    expect_all((struct log_query){.n = 2, .process = "web.1"}, "4 8");
    expect_all((struct log_query){.n = 100, .process = "we"}, "");
    expect_all((struct log_query){.n = 100, .source = "router"}, "3 7 11");
    expect_all((struct log_query){.n = 100, .source = "davit"}, "8");
    struct log_query since = {.n = 100};
    time_log_text(1790000000000000 + 9000, since.since);
    expect_all(since, "9 10 11");
}

static void many_lines_in_many_files_are_all_read(void **state)
{
    (void)state;
    enum { LINES = 30000 };
    for (int i = 0; i < LINES; i++) {
        append("web.1.log", i, "app", "web.1");
        if (i % 9000 == 8999)
            rotate("web.1.log", 5);
    }
    for (int n = 1; n <= LINES; n = n * 3 + 1) {
        _cleanup_(log_reader_freep) struct log_reader *r =
            start((struct log_query){.n = (uint64_t)n});
        struct log_line line;
        int expected = LINES - n;
        for (; log_reader_next(r, &line); expected++) {
            uint64_t got;
            assert_int_equal(str_to_u64(line.message, 0, LINES, &got, NULL), 0);
            assert_int_equal(got, expected);
        }
        assert_int_equal(expected, LINES);
    }
}

static void following_goes_through_rotations(void **state)
{
    (void)state;
    append("web.1.log", 1, "app", "web.1");
    append("web.1.log", 2, "app", "web.1");
    _cleanup_(log_reader_freep) struct log_reader *r =
        start((struct log_query){.n = 1, .follow = true});
    expect(r, "2");
    expect(r, "");
    append("web.1.log", 3, "app", "web.1");
    rotate("web.1.log", 5);
    expect(r, "3"); /* it has no successor yet */
    append("web.1.log", 4, "app", "web.1");
    expect(r, "4");
    for (int i = 5; i < 9; i++) { /* renamed several times between two looks */
        append("web.1.log", i, "app", "web.1");
        rotate("web.1.log", 5);
    }
    append("web.1.log", 9, "app", "web.1");
    expect(r, "5 6 7 8 9");
    append("worker.1.log", 10, "app", "worker.1");
    rotate("worker.1.log", 5);
    append("worker.1.log", 11, "app", "worker.1");
    log_reader_changed(r, "worker.1.log");
    log_reader_changed(r, "worker.1.log.1");
    log_reader_changed(r, "something.else");
    expect(r, "10 11");
}

static void odd_contents_are_passed_over(void **state)
{
    (void)state;
    _cleanup_free_ char *path = xasprintf("%s/web.1.log", dir), *huge = xmalloc(100000);
    append("web.1.log", 1, "app", "web.1");
    _cleanup_close_ int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    memset(huge, 'x', 100000);
    assert_int_equal(fd_write_all(fd, huge, 100000, NULL), 0);
    assert_int_equal(fd_write_all(fd, "\n\n\nnonsense\n", 12, NULL), 0);
    append("web.1.log", 2, "app", "web.1");
    expect_all((struct log_query){.n = 100}, "1 2");
    /* A line that is still being written is not given out before it is whole. */
    assert_int_equal(fd_write_all(fd, "2026-09-16T15:13:46.677020+00:00 app[web.1]: 3", 46, NULL),
                     0);
    _cleanup_(log_reader_freep) struct log_reader *r =
        start((struct log_query){.n = 0, .follow = true});
    expect(r, "");
}

static void no_folder_is_no_lines(void **state)
{
    (void)state;
    struct log_query q = {.n = 10};
    _cleanup_(log_reader_freep) struct log_reader *r = log_reader_new("/nonexistent", &q);
    assert_true(log_reader_search(r));
    expect(r, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_taken_apart),
        cmocka_unit_test(a_line_is_written_as_it_is_parsed),
        cmocka_unit_test_setup_teardown(several_writers_rotate_one_log, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_line_is_rotated_as_a_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_the_platforms_own_folder_may_be_a_link, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_tail_is_kept_as_long_as_it_is_wanted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(logs_are_merged_by_time_and_filtered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_lines_in_many_files_are_all_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(following_goes_through_rotations, set_up, tear_down),
        cmocka_unit_test_setup_teardown(odd_contents_are_passed_over, set_up, tear_down),
        cmocka_unit_test(no_folder_is_no_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
