/* The pure parts of the git endpoint and its hook: decisions and parsers. */
#include "cm.h"

#include "git/hook/answer.h"
#include "git/hook/refs.h"
#include "git/hook/tar.h"
#include "git/shallow.h"

/* --- the hook: what a push may contain ------------------------------------------------------- */

#define ZERO "0000000000000000000000000000000000000000"
#define OLD "1111111111111111111111111111111111111111"
#define NEW "2222222222222222222222222222222222222222"
#define LINE(old, new, ref) old " " new " " ref "\n"

static void which_refs_of_a_push_are_built(void **state)
{
    (void)state;
    static const struct {
        const char *branch, *lines;
        bool accept;
        const char *built; /* branch; NULL: nothing */
        const char *words; /* contained; NULL: none at all */
    } cases[] = {
        {"", LINE(ZERO, NEW, "refs/heads/main"), true, "main", NULL},
        {"", LINE(ZERO, NEW, "refs/heads/fix/one"), true, "fix/one", NULL},
        {"", LINE(ZERO, OLD, "refs/heads/a") LINE(ZERO, NEW, "refs/heads/main"), true, "main",
         "Branch a is kept, not deployed"},
        {"", LINE(ZERO, OLD, "refs/heads/a") LINE(ZERO, NEW, "refs/heads/master"), true, "master",
         "Branch a is kept"},
        {"", LINE(ZERO, NEW, "refs/tags/v1"), false, NULL, "refs/tags/v1 is not a branch"},
        {"", LINE(OLD, ZERO, "refs/heads/old"), true, NULL, NULL},
        {"main", LINE(OLD, NEW, "refs/heads/main"), true, "main", NULL},
        {"main", LINE(ZERO, NEW, "refs/heads/feature"), false, NULL, "git push davit feature:main"},
        {"main", LINE(ZERO, NEW, "refs/heads/main2"), false, NULL, "branch 'main'"},
        {"main", LINE(ZERO, NEW, "refs/tags/v1"), false, NULL, "deploys nothing"},
        {"main", LINE(OLD, NEW, "refs/heads/main") LINE(ZERO, NEW, "refs/tags/v1"), true, "main",
         NULL},
        {"main", LINE(OLD, NEW, "refs/heads/main") LINE(OLD, ZERO, "refs/heads/a"), true, "main",
         NULL},
        {"main", LINE(OLD, ZERO, "refs/heads/main"), false, NULL, "can't be deleted"},
        {"main", LINE(OLD, ZERO, "refs/heads/feature"), true, NULL, NULL},
        {"main", "", true, NULL, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_(decision_release) struct decision d = {0};
        struct err err;
        assert_int_equal(decide(str_of(cases[i].lines), cases[i].branch, &d, &err), 0);
        assert_int_equal(d.accept, cases[i].accept);
        if (cases[i].built) {
            assert_string_equal(d.branch, cases[i].built);
            assert_string_equal(d.commit, NEW);
        } else {
            assert_null(d.commit);
        }
        if (cases[i].words)
            assert_non_null(strstr(d.words.ptr, cases[i].words));
        else
            assert_int_equal(d.words.len, 0);
    }
}

static void what_git_would_never_say_is_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {"x",
                                        "\n",
                                        OLD " " NEW "\n",
                                        OLD " short refs/heads/a\n",
                                        OLD " " NEW " \n",
                                        "X" OLD " " NEW " refs/heads/a\n"};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_(decision_release) struct decision d = {0};
        struct err err;
        assert_int_equal(decide(str_of(cases[i]), "", &d, &err), -ERR_INVALID);
    }
}

/* --- where a pusher's history is cut off ------------------------------------------------------ */

#define ONE "1111111111111111111111111111111111111111"
#define TWO "2222222222222222222222222222222222222222"
#define COMMAND "0067" ONE " " TWO " refs/heads/main\0 report-status"

static void where_a_shallow_history_is_cut_off(void **state)
{
    (void)state;
    static const struct {
        struct str body;
        const char *commits;
    } cases[] = {
        {STR("0000"), ""},
        {STR(COMMAND), ""},
        {STR("0034shallow " ONE COMMAND), ONE " "},
        {STR("0035shallow " ONE "\n" COMMAND), ONE " "},
        {STR("0034shallow " ONE "0034shallow " TWO COMMAND), ONE " " TWO " "},
        {STR("0035shallow " ONE "\n0035shallow " TWO "\n0034shallow " ONE COMMAND),
         ONE " " TWO " " ONE " "},
        {STR("0035shallow " ONE "\n0000"), ONE " "},
        {STR("zzzzshallow " ONE), ""},
        {STR("0008shallow " ONE), ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_(buf_release) struct buf commits = BUF_INIT;
        assert_true(shallow_read(cases[i].body, &commits));
        assert_string_equal(commits.ptr ? commits.ptr : "", cases[i].commits);
        /* In pieces too: no piece is taken for the whole before the last commit is there. */
        size_t n = 0;
        while (!shallow_read((struct str){cases[i].body.ptr, n}, &commits))
            n++;
        assert_string_equal(commits.ptr ? commits.ptr : "", cases[i].commits);
    }
}

/* --- the hook: submodules in a tar ----------------------------------------------------------- */

static void add_entry(struct buf *tar, const char *name, char type, const char *contents)
{
    char h[512] = {0}, pad[512] = {0};
    size_t n = strlen(contents);
    snprintf(h, 100, "%s", name);
    snprintf(h + 124, 12, "%011o", (unsigned)n);
    h[156] = type;
    memcpy(h + 257, "ustar", 6);
    buf_add(tar, h, sizeof(h));
    buf_add(tar, contents, n);
    buf_add(tar, pad, (512 - n % 512) % 512);
}

static void expect_submodule(const struct buf *tar, const char *expected)
{
    const size_t pieces[] = {1, 7, 512, 700, tar->len};
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        _cleanup_(tar_scan_release) struct tar_scan t = {0};
        for (size_t at = 0; at < tar->len; at += pieces[i])
            tar_scan(&t, tar->ptr + at, MIN(pieces[i], tar->len - at));
        tar_scan_end(&t);
        if (expected)
            assert_string_equal(t.submodule, expected);
        else
            assert_null(t.submodule);
    }
}

static void submodules_are_found_in_a_tar(void **state)
{
    (void)state;
    _cleanup_(buf_release) struct buf tar = BUF_INIT;
    add_entry(&tar, "pax_global_header", 'g', "52 comment=" NEW "\n");
    add_entry(&tar, "README", '0', "hello");
    add_entry(&tar, "src/", '5', "");
    add_entry(&tar, "src/deep/", '5', "");
    add_entry(&tar, "src/deep/a", '0', "x");
    add_entry(&tar, "vendor/", '5', "");
    size_t plain = tar.len;
    add_entry(&tar, "vendor/a", '0', "");
    expect_submodule(&tar, NULL);

    tar.len = plain;
    add_entry(&tar, "vendors", '0', "not inside");
    expect_submodule(&tar, "vendor");

    tar.len = plain;
    add_entry(&tar, "x", 'x', "30 path=vendor/with a long ü\n");
    add_entry(&tar, "cut", '0', "");
    expect_submodule(&tar, NULL);

    tar.len = plain;
    expect_submodule(&tar, "vendor"); /* the last entry of all */
}

/* --- the hook: answers ----------------------------------------------------------------------- */

static int feed(const char *text, size_t piece, struct answer *a, struct buf *body)
{
    struct err err;
    size_t n = strlen(text);
    answer_init(a);
    buf_reset(body);
    for (size_t at = 0; at < n; at += piece) {
        int r = answer_feed(a, text + at, MIN(piece, n - at), body, &err);
        if (r < 0)
            return r;
    }
    return 0;
}

static void an_answer_is_read_in_any_pieces(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int result, status;
        enum answer_state end;
        const char *body, *trailer;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;x=y\r\n!\r\n0\r\n"
         "Davit-Result: succeeded\r\n\r\n",
         0, 200, ANSWER_DONE, "hello!", "succeeded"},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", 0,
         404, ANSWER_DONE, "no", ""},
        {"HTTP/1.1 204 No Content\r\n\r\n", 0, 204, ANSWER_DONE, "", ""},
        {"HTTP/1.1 200 OK\r\ntransfer-encoding:chunked\r\n\r\n5\r\nhel", 0, 200, ANSWER_CHUNK,
         "hel", ""},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", -ERR_INVALID, 0, 0, "", ""},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", -ERR_INVALID, 0, 0,
         "", ""},
        {"SSH-2.0-OpenSSH\r\n", -ERR_INVALID, 0, 0, "", ""},
        {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", -ERR_INVALID, 0, 0, "", ""},
    };
    _cleanup_(buf_release) struct buf body = BUF_INIT;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (size_t piece = 1; piece < 40; piece++) {
            struct answer a;
            assert_int_equal(feed(cases[i].text, piece, &a, &body), cases[i].result);
            if (!cases[i].result) {
                assert_int_equal(a.status, cases[i].status);
                assert_int_equal(a.state, cases[i].end);
                assert_string_equal(buf_str(&body).ptr, cases[i].body);
                assert_string_equal(a.result, cases[i].trailer);
            }
            answer_release(&a);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(which_refs_of_a_push_are_built),
        cmocka_unit_test(what_git_would_never_say_is_refused),
        cmocka_unit_test(where_a_shallow_history_is_cut_off),
        cmocka_unit_test(submodules_are_found_in_a_tar),
        cmocka_unit_test(an_answer_is_read_in_any_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
