/* The hooks' effects: pushes take turns and land, what was pushed is brought to disk. */
#include "cm.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "git/hook/land.h"
#include "git/hook/sync.h"
#include "git/hook/turn.h"
#include "os/file.h"
#include "os/spawn.h"

#define OLD "1111111111111111111111111111111111111111"
#define NEW "2222222222222222222222222222222222222222"
#define ZERO "0000000000000000000000000000000000000000"

static char dir[64];

static int set_up(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/test_git_hook.XXXXXX");
    return mkdtemp(dir) ? chdir(dir) : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return chdir("/") < 0 ? -1 : dir_remove(dir, NULL);
}

static void expect_ref(const char *ref, const char *expected)
{
    _cleanup_free_ char *now = turn_ref(ref);
    assert_string_equal(now ? now : "none", expected ? expected : "none");
}

static void a_ref_is_deployed_or_refused(void **state)
{
    (void)state;
    expect_ref("refs/heads/main", NULL);
    assert_int_equal(file_replace("packed-refs",
                                  STR("# pack-refs with: peeled\n" OLD " refs/heads/main\n" NEW
                                      " refs/tags/v1\n^" OLD "\n" NEW " refs/heads/other\n"),
                                  0600, NULL),
                     0);
    expect_ref("refs/heads/main", OLD);
    expect_ref("refs/heads/other", NEW);
    expect_ref("refs/heads/ma", NULL);
    expect_ref("ads/main", NULL);
    assert_int_equal(dir_make("refs/heads", 0700, NULL), 0);
    assert_int_equal(file_replace("refs/heads/main", STR(NEW "\n"), 0600, NULL), 0);
    expect_ref("refs/heads/main", NEW); /* the loose one counts */
}

static void what_did_not_move_is_told(void **state)
{
    (void)state;
    assert_true(turn_is_unmoved(OLD, OLD));
    assert_true(turn_is_unmoved(NULL, ZERO));
    assert_false(turn_is_unmoved(NEW, OLD));
    assert_false(turn_is_unmoved(OLD, ZERO));
    assert_false(turn_is_unmoved(NULL, OLD));
}

/* --- landing --------------------------------------------------------------------------------- */

static void git_out(char ret[41], const char *const *argv)
{
    struct err err;
    _cleanup_(buf_release) struct buf out = BUF_INIT;
    assert_ok(spawn_run(argv, (struct str){0}, &out, &err), err);
    snprintf(ret, 41, "%s", out.ptr ? out.ptr : "");
}
#define GIT(ret, ...) git_out(ret, (const char *const[]){"git", __VA_ARGS__, NULL})

static void expect_answer(const char *old, const char *new, const char *expected)
{
    _cleanup_free_ char *command = xasprintf("%s %s refs/heads/main", old, new);
    _cleanup_(buf_release) struct buf answer = BUF_INIT;
    land(str_of(command), &answer);
    assert_string_equal(answer.ptr, expected);
}

#define FALL_THROUGH "0017ok refs/heads/main\n0018option fall-through\n"

/* a ← b ← c, and d beside b. */
static void commits_land_on_the_branch(void **state)
{
    (void)state;
    char none[41], tree[41], a[41], b[41], c[41], d[41], at[41];
    setenv("GIT_AUTHOR_NAME", "t", 1);
    setenv("GIT_AUTHOR_EMAIL", "t", 1);
    setenv("GIT_COMMITTER_NAME", "t", 1);
    setenv("GIT_COMMITTER_EMAIL", "t", 1);
    GIT(none, "init", "-q", "--bare", ".");
    GIT(tree, "hash-object", "-t", "tree", "-w", "/dev/null");
    GIT(a, "commit-tree", "-m", "a", tree);
    GIT(b, "commit-tree", "-m", "b", "-p", a, tree);
    GIT(c, "commit-tree", "-m", "c", "-p", b, tree);
    GIT(d, "commit-tree", "-m", "d", "-p", a, tree);
    expect_answer(ZERO, a, FALL_THROUGH); /* as usual: git does it */
    GIT(none, "update-ref", "refs/heads/main", b);
    expect_answer(b, c, FALL_THROUGH);
    expect_answer(b, d, FALL_THROUGH); /* a forced push */
    expect_answer(b, ZERO, FALL_THROUGH);
    expect_answer(a, d, FALL_THROUGH); /* would lose b: git refuses */
    expect_answer(a, ZERO, FALL_THROUGH);
    expect_answer(a, b, "0017ok refs/heads/main\n");
    _cleanup_free_ char *moved = xasprintf("0017ok refs/heads/main\n003coption old-oid %s\n", b);
    expect_answer(a, c, moved);
    GIT(at, "rev-parse", "refs/heads/main");
    assert_string_equal(at, c);
    _cleanup_free_ char *made = xasprintf("0017ok refs/heads/main\n003coption old-oid %s\n", a);
    GIT(none, "update-ref", "refs/heads/main", a);
    expect_answer(ZERO, c, made);
    /* Somebody holds the ref: nothing is claimed. */
    GIT(none, "update-ref", "refs/heads/main", a);
    assert_int_equal(file_replace("refs/heads/main.lock", STR(""), 0600, NULL), 0);
    _cleanup_(buf_release) struct buf answer = BUF_INIT;
    _cleanup_free_ char *command = xasprintf("%s %s refs/heads/main", ZERO, c);
    land(str_of(command), &answer);
    assert_contains(answer.ptr, "ng refs/heads/main ");
}

/* --- turns ----------------------------------------------------------------------------------- */

static int told; /* the pipe the hook's words go to */

static void tell(struct str words)
{
    assert_int_equal(fd_write_all(told, words.ptr, words.len, NULL), 0);
}

/* A process that plays git: its hook takes the turn, says so, and ends; git itself goes on until it
 * is killed. */
static pid_t git_with_hook(int *ret_words, const char *build)
{
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    pid_t git = fork();
    if (git > 0) {
        close(fds[1]);
        *ret_words = fds[0];
        return git;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pid_t hook = fork();
    if (hook == 0) {
        told = fds[1];
        int turn = turn_take(tell, NULL);
        turn_note(turn, build, "ann");
        tell(turn < 0 ? STR("failed\n") : STR("taken\n"));
        _exit(0);
    }
    spawn_wait(hook);
    pause();
    _exit(0);
}

static void expect_words(int fd, const char *expected)
{
    _cleanup_(buf_release) struct buf got = BUF_INIT;
    while (!got.len || !strstr(got.ptr, expected)) {
        char piece[256];
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 10000) != 1)
            fail_msg("'%s' didn't come within 10 s", expected);
        ssize_t n = read(fd, piece, sizeof(piece));
        assert_true(n > 0);
        buf_add(&got, piece, (size_t)n);
    }
}

static bool is_silent(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 100) == 0;
}

static void pushes_take_turns(void **state)
{
    (void)state;
    int first_words, second_words;
    pid_t first = git_with_hook(&first_words, "b1");
    expect_words(first_words, "taken\n");
    pid_t second = git_with_hook(&second_words, "b2");
    expect_words(second_words, "-----> Waiting for build b1 of ann to finish\n");
    /* The hook of the first has ended long ago; its git has not. */
    assert_true(is_silent(second_words));
    kill(first, SIGKILL);
    spawn_wait(first);
    expect_words(second_words, "taken\n");
    kill(second, SIGKILL);
    spawn_wait(second);
    close(first_words);
    close(second_words);
}

/* --- to disk --------------------------------------------------------------------------------- */

static void a_tree_is_synced_whole(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(dir_make("incoming/ab", 0700, NULL), 0);
    assert_int_equal(file_replace("incoming/ab/cd", STR("object"), 0400, NULL), 0);
    assert_int_equal(file_replace("incoming/top", STR("object"), 0400, NULL), 0);
    assert_ok(sync_tree("incoming", &err), err);
    pid_t pid = sync_tree_start("incoming", &err);
    assert_ok(sync_tree_end(pid, &err), err);
    assert_err(sync_tree("missing", &err), ERR_NOT_FOUND);
    pid = sync_tree_start("missing", &err);
    assert_err(sync_tree_end(pid, &err), ERR_IO);
    assert_int_equal(symlink("top", "incoming/link"), 0); /* nothing git would put there */
    assert_err(sync_tree("incoming", &err), ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_ref_is_deployed_or_refused, set_up, tear_down),
        cmocka_unit_test(what_did_not_move_is_told),
        cmocka_unit_test_setup_teardown(commits_land_on_the_branch, set_up, tear_down),
        cmocka_unit_test_setup_teardown(pushes_take_turns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_tree_is_synced_whole, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
