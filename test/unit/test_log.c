/* Reading logs: merged by time, the last n, through rotations, following. */
#include "cm.h"

#include <fcntl.h>

#include "log/reader.h"
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

static void test_line_parse(void **state)
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

static void test_merged_and_filtered(void **state)
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

static void test_many_lines_in_many_files(void **state)
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

static void test_follow_through_rotations(void **state)
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

static void test_odd_contents(void **state)
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

static void test_no_folder(void **state)
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
        cmocka_unit_test(test_line_parse),
        cmocka_unit_test_setup_teardown(test_merged_and_filtered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_lines_in_many_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_follow_through_rotations, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_odd_contents, set_up, tear_down),
        cmocka_unit_test(test_no_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
