#include "cm.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "os/file.h"
#include "shim/applog.h"

static char dir[] = "/tmp/davit-applog-XXXXXX";
static char path[64], tail[64], older_tail[80];
static struct applog applog; /* large */
static int in, out;          /* the app's pipe: we read `in` */

static int set_up(void **state)
{
    (void)state;
    int p[2];
    if (pipe2(p, O_CLOEXEC) < 0 || fcntl(p[0], F_SETFL, O_NONBLOCK) < 0)
        return -1;
    fcntl(p[1], F_SETPIPE_SZ, 1 << 20);
    in = p[0], out = p[1];
    memset(&applog, 0, sizeof(applog));
    snprintf(path, sizeof(path), "%s/web.1.log", dir);
    snprintf(tail, sizeof(tail), "%s/tail", dir);
    snprintf(older_tail, sizeof(older_tail), "%s.1", tail);
    applog_init(&applog, path, "web.1", 200000, 3, tail);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    applog_release(&applog);
    close(in);
    close(out);
    for (int i = 0; i < 10; i++) {
        char name[80];
        snprintf(name, sizeof(name), i ? "%s.%d" : "%s", path, i);
        unlink(name);
    }
    unlink(tail);
    unlink(older_tail);
    return 0;
}

static void app_writes(const void *data, size_t n)
{
    assert_int_equal(write(out, data, n), n);
    while (applog_read(&applog, in))
        ;
}

/* The messages of the log (or one of its older files), each line checked for its form. */
static void messages(const char *file, struct strv *ret)
{
    struct err err;
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    assert_ok(file_read(file, &text, &err), err);
    for (struct str rest = buf_str(&text), line; rest.len;) {
        line = str_cut(&rest, '\n');
        assert_non_null(rest.ptr); /* it had a newline */
        assert_true(line.len >= 45 && line.ptr[10] == 'T' && line.ptr[26] == '+');
        const char *message = memmem(line.ptr, line.len, "]: ", 3);
        assert_non_null(message);
        strv_take(ret, xstrndup(message + 3, (size_t)(line.ptr + line.len - message - 3)));
    }
}

#define assert_messages(...)                                                                       \
    do {                                                                                           \
        const char *const want_[] = {__VA_ARGS__};                                                 \
        _cleanup_(strv_release) struct strv got_ = {0};                                            \
        messages(path, &got_);                                                                     \
        assert_int_equal(got_.n, ARRAY_LEN(want_));                                                \
        for (size_t i_ = 0; i_ < got_.n; i_++)                                                     \
            assert_string_equal(got_.items[i_], want_[i_]);                                        \
    } while (0)

static void lines_get_time_and_source(void **state)
{
    (void)state;
    struct err err;
    app_writes("one\n\ntwo\n", 9);
    applog_say(&applog, "State changed from %s to\n%s", "starting", "up");
    assert_messages("one", "", "two", "State changed from starting to up");
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    assert_ok(file_read(path, &text, &err), err);
    assert_contains(text.ptr, "+00:00 app[web.1]: one\n");
    assert_contains(text.ptr, "+00:00 davit[web.1]: State");
}

static void a_line_is_whole_or_waits(void **state)
{
    (void)state;
    app_writes("begin", 5);
    assert_false(path_exists(path));
    app_writes(" end\nlast", 9);
    assert_messages("begin end");
    applog_finish(&applog);
    assert_messages("begin end", "last");
    applog_finish(&applog);
    assert_messages("begin end", "last");
    assert_string_equal(applog.last, "last");
}

static void control_bytes_stay_but_nul(void **state)
{
    (void)state;
    app_writes("\0a\0\0b\t\x1b[1m\r\n", 12);
    assert_messages(" a  b\t\x1b[1m\r");
}

static void long_lines_are_split(void **state)
{
    (void)state;
    static char text[40000];
    memset(text, 'x', sizeof(text));
    text[10000] = '\n';      /* fits exactly */
    text[30001] = '\n';      /* two pieces: 10,000 and 10,000 */
    app_writes(text, 30002); /* the first line, the second */
    app_writes(text, 9999);  /* no end yet */
    app_writes("yz\n", 3);   /* 10,001 bytes: 10,000 and 1 */
    _cleanup_(strv_release) struct strv got = {0};
    messages(path, &got);
    static const size_t lengths[] = {10000, 10000, 10000, 10000, 1};
    assert_int_equal(got.n, ARRAY_LEN(lengths));
    for (size_t i = 0; i < got.n; i++)
        assert_int_equal(strlen(got.items[i]), lengths[i]);
    assert_string_equal(got.items[4], "z");
}

static void characters_are_not_split(void **state)
{
    (void)state;
    static const char euro[] = "\xe2\x82\xac"; /* three bytes: 10,000 isn't a multiple */
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    for (int i = 0; i < 5000; i++)
        buf_adds(&text, euro);
    buf_addc(&text, '\n');
    app_writes(text.ptr, text.len);
    _cleanup_(strv_release) struct strv got = {0};
    messages(path, &got);
    assert_int_equal(got.n, 2);
    assert_int_equal(strlen(got.items[0]), 9999);
    assert_int_equal(strlen(got.items[1]), 5001);
    assert_memory_equal(got.items[1], euro, 3);
}

/* What isn't UTF-8 is split where 10,000 says. */
static void garbage_is_split_too(void **state)
{
    (void)state;
    static char text[20001];
    memset(text, '\x80', sizeof(text));
    text[20000] = '\n';
    app_writes(text, sizeof(text));
    _cleanup_(strv_release) struct strv got = {0};
    messages(path, &got);
    assert_int_equal(got.n, 2);
    assert_int_equal(strlen(got.items[0]), 10000);
}

static void much_at_once_is_all_there(void **state)
{
    (void)state;
    applog.file.max = 100 << 20;
    for (int round = 0; round < 30; round++) {
        _cleanup_(buf_release) struct buf text = BUF_INIT;
        for (int i = 0; i < 20000; i++)
            buf_addf(&text, "%d\n", round * 20000 + i);
        app_writes(text.ptr, text.len);
    }
    _cleanup_(buf_release) struct buf log = BUF_CAP(200 << 20);
    struct err err;
    assert_ok(file_read(path, &log, &err), err);
    uint64_t next = 0, n;
    for (struct str rest = buf_str(&log); rest.len; next++) {
        struct str line = str_cut(&rest, '\n');
        struct str message = {line.ptr + 45, line.len - 45};
        assert_ok(str_to_u64(message, 0, UINT64_MAX, &n, &err), err);
        assert_int_equal(n, next);
    }
    assert_int_equal(next, 600000);
}

static void rotates_before_the_limit(void **state)
{
    (void)state;
    static char line[5000];
    memset(line, 'r', sizeof(line));
    line[sizeof(line) - 1] = '\n';
    for (int i = 0; i < 200; i++)
        app_writes(line, sizeof(line));
    for (int i = 0; i < 3; i++) {
        char name[80];
        struct stat st;
        snprintf(name, sizeof(name), i ? "%s.%d" : "%s", path, i);
        assert_int_equal(stat(name, &st), 0);
        assert_true(st.st_size <= 200000);
        assert_true(i == 0 || st.st_size > 190000);
    }
    char fourth[80];
    snprintf(fourth, sizeof(fourth), "%s.3", path);
    assert_false(path_exists(fourth));
}

static void one_file_starts_over(void **state)
{
    (void)state;
    applog.file.files = 1;
    static char line[5000];
    memset(line, 'r', sizeof(line));
    line[sizeof(line) - 1] = '\n';
    for (int i = 0; i < 100; i++)
        app_writes(line, sizeof(line));
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size > 0 && st.st_size <= 200000);
    char second[80];
    snprintf(second, sizeof(second), "%s.1", path);
    assert_false(path_exists(second));
}

static void who_takes_the_file_away_gets_a_new_one(void **state)
{
    (void)state;
    app_writes("one\n", 4);
    unlink(path);
    app_writes("two\n", 4);
    assert_messages("two");
}

static void what_is_lost_is_counted_and_said(void **state)
{
    (void)state;
    applog.file.path = "/dev/full";
    app_writes("a\nb\nc\n", 6);
    applog_say(&applog, "d");
    assert_int_equal(applog.dropped, 4);
    applog.file.path = path;
    app_writes("e\n", 2);
    assert_messages("4 lines were lost: No space left on device", "e");
    app_writes("f\n", 2);
    assert_messages("4 lines were lost: No space left on device", "e", "f");
}

/* The disk gets full in the middle of a line, and has room again later. */
static void a_line_cut_short_stays_apart(void **state)
{
    (void)state;
    struct rlimit full = {1000, RLIM_INFINITY}, room = {RLIM_INFINITY, RLIM_INFINITY};
    static char lines[1500];
    memset(lines, 'x', sizeof(lines));
    lines[599] = lines[1199] = lines[1499] = '\n';
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &full);
    app_writes(lines, sizeof(lines));
    setrlimit(RLIMIT_FSIZE, &room);
    app_writes("after\n", 6);
    _cleanup_(strv_release) struct strv got = {0};
    messages(path, &got);
    assert_int_equal(got.n, 4);
    assert_int_equal(strlen(got.items[0]), 599);
    assert_int_equal(strlen(got.items[1]), 1000 - 600 - 2 * 45);
    assert_string_equal(got.items[2], "2 lines were lost: File too large");
    assert_string_equal(got.items[3], "after");
}

static void a_log_that_cannot_be_opened_is_no_error(void **state)
{
    (void)state;
    applog.file.path = "/proc/nowhere/log";
    app_writes("a\n", 2);
    assert_int_equal(applog.dropped, 1);
    applog.file.path = path;
    app_writes("b\n", 2);
    assert_messages("1 lines were lost: No such file or directory", "b");
}

static void nor_is_one_in_the_place_of_its_folder(void **state)
{
    (void)state;
    char folder[80], log[100], elsewhere[80];
    snprintf(folder, sizeof(folder), "%s/app", dir);
    snprintf(log, sizeof(log), "%s/web.1.log", folder);
    snprintf(elsewhere, sizeof(elsewhere), "%s/elsewhere", dir);
    assert_int_equal(mkdir(elsewhere, 0755), 0);
    assert_int_equal(symlink(elsewhere, folder), 0);
    applog.file.path = log;
    app_writes("a\n", 2);
    assert_int_equal(applog.dropped, 1);
    assert_int_equal(unlink(folder), 0);
    app_writes("b\n", 2);
    assert_true(path_exists(log));
    assert_int_equal(rmdir(elsewhere), 0); /* it is empty */
    applog.file.path = path;
}

static void a_link_is_not_followed(void **state)
{
    (void)state;
    char target[80];
    snprintf(target, sizeof(target), "%s/target", dir);
    assert_int_equal(symlink(target, path), 0);
    app_writes("a\n", 2);
    assert_false(path_exists(target));
    assert_int_equal(applog.dropped, 1);
}

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    return dir_remove(dir, NULL);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

/* ---- the tail ---- */

static void want_tail(void)
{
    _cleanup_close_ int fd = open(tail, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
}

static size_t size_of(const char *file)
{
    struct stat st;
    return stat(file, &st) == 0 ? (size_t)st.st_size : 0;
}

static void nobody_wants_a_tail(void **state)
{
    (void)state;
    app_writes("one\n", 4);
    assert_false(path_exists(tail));
    want_tail(); /* too late: that there was none has been taken for an answer */
    app_writes("two\n", 4);
    assert_int_equal(size_of(tail), 0);
    assert_messages("one", "two");
}

static void the_tail_has_what_the_log_has(void **state)
{
    (void)state;
    struct err err;
    _cleanup_(buf_release) struct buf log = BUF_INIT, kept = BUF_INIT;
    want_tail();
    app_writes("one\ntwo\n", 8);
    applog_say(&applog, "three");
    assert_ok(file_read(path, &log, &err), err);
    assert_ok(file_read(tail, &kept, &err), err);
    assert_string_equal(kept.ptr, log.ptr);
}

static void the_tail_stays_short_and_its_lines_whole(void **state)
{
    (void)state;
    static char lines[30000];
    want_tail();
    for (size_t i = 0; i < sizeof(lines); i++)
        lines[i] = i % 100 == 99 ? '\n' : 'x';
    for (int i = 0; i < 50; i++)
        app_writes(lines, i % 2 ? sizeof(lines) : 1000);
    assert_true(size_of(tail) + size_of(older_tail) > TAIL_MAX);
    assert_true(size_of(tail) <= TAIL_MAX && size_of(older_tail) <= TAIL_MAX);
    _cleanup_(strv_release) struct strv got = {0};
    messages(older_tail, &got);
    messages(tail, &got);
    for (size_t i = 0; i < got.n; i++)
        assert_int_equal(strlen(got.items[i]), 99);
}

static void the_tail_ends_when_it_is_removed(void **state)
{
    (void)state;
    want_tail();
    app_writes("one\n", 4);
    unlink(tail);
    app_writes("two\n", 4);
    app_writes("three\n", 6);
    assert_false(path_exists(tail));
    assert_messages("one", "two", "three");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(lines_get_time_and_source),
        T(a_line_is_whole_or_waits),
        T(control_bytes_stay_but_nul),
        T(long_lines_are_split),
        T(characters_are_not_split),
        T(garbage_is_split_too),
        T(much_at_once_is_all_there),
        T(rotates_before_the_limit),
        T(one_file_starts_over),
        T(who_takes_the_file_away_gets_a_new_one),
        T(what_is_lost_is_counted_and_said),
        T(a_line_cut_short_stays_apart),
        T(a_log_that_cannot_be_opened_is_no_error),
        T(a_link_is_not_followed),
        T(nor_is_one_in_the_place_of_its_folder),
        T(nobody_wants_a_tail),
        T(the_tail_has_what_the_log_has),
        T(the_tail_stays_short_and_its_lines_whole),
        T(the_tail_ends_when_it_is_removed),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
