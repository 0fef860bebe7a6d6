/* Programs in cages: their end is the end of all they started. Needs root. */
#include "cm.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "base/time.h"
#include "builder/cage.h"
#include "builder/stack.h"
#include "os/spawn.h"
#include "os/file.h"

enum { PATIENCE_MS = 20000 };

static int run(const char *script, int64_t timeout_s, const struct cancel *cancel,
               struct output *out, int *ret_status, struct err *err)
{
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    return cage_run(&(struct cage){.argv = argv, .timeout_s = timeout_s, .cancel = cancel}, out,
                    ret_status, err);
}

static struct output nowhere(void)
{
    struct output o;
    output_to(&o, open("/dev/null", O_WRONLY | O_CLOEXEC));
    return o;
}

static void status_and_output_come_out(void **state)
{
    (void)state;
    _cleanup_(output_close) struct output o = nowhere();
    int status = -1;
    assert_int_equal(
        run("echo out; echo err >&2; printf unfinished; exit 7", 10, NULL, &o, &status, NULL), 0);
    assert_int_equal(status, 7);
    assert_string_equal(o.last, "unfinished");
    assert_int_equal(run("sh -c 'kill -9 $$'; exit $?", 10, NULL, &o, &status, NULL), 0);
    assert_int_equal(status, 128 + SIGKILL);
}

static void a_program_that_is_not_there_is_an_error(void **state)
{
    (void)state;
    _cleanup_(output_close) struct output o = nowhere();
    struct err err;
    int status;
    const char *const argv[] = {"/no/such/program", NULL};
    assert_true(cage_run(&(struct cage){.argv = argv, .timeout_s = 10}, &o, &status, &err) < 0);
    assert_non_null(strstr(err.msg, "/no/such/program"));
}

static int mount_here(void *ctx, struct err *err)
{
    if (mount("tmpfs", ctx, "tmpfs", 0, NULL) < 0)
        return err_errno(err, "mount");
    return 0;
}

static int refuse(void *ctx, struct err *err)
{
    (void)ctx;
    return err_set(err, ERR_NO_SPACE, "nothing left");
}

static void mounts_stay_inside(void **state)
{
    (void)state;
    _cleanup_(output_close) struct output o = nowhere();
    char dir[] = "/tmp/test-cage.XXXXXX";
    int status = -1;
    assert_non_null(mkdtemp(dir));
    _cleanup_free_ char *script = xasprintf("grep -q ' %s tmpfs' /proc/mounts && test $$ = 1", dir);
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    struct cage c = {.argv = argv, .prepare = mount_here, .ctx = dir, .timeout_s = 10};
    assert_int_equal(cage_run(&c, &o, &status, NULL), 0);
    assert_int_equal(status, 0);
    _cleanup_(buf_release) struct buf mounts = BUF_INIT;
    assert_int_equal(file_read("/proc/self/mounts", &mounts, NULL), 0);
    assert_null(strstr(mounts.ptr, dir));
    rmdir(dir);
    struct err err;
    c.prepare = refuse;
    assert_int_equal(cage_run(&c, &o, &status, &err), -ERR_NO_SPACE);
    assert_non_null(strstr(err.msg, "nothing left"));
}

/* "sleep 31.N<pid>": a command line that nobody else on this machine has. */
static char *nap(int n) { return xasprintf("sleep 31.%d%d", n, getpid()); }

/* Whether a process with this command line lives. */
static bool lives(const char *command)
{
    _cleanup_free_ char *pattern = xasprintf("^%s$", command);
    const char *const argv[] = {"pgrep", "-f", "--", pattern, NULL};
    struct err err;
    _cleanup_(buf_release) struct buf out = BUF_INIT;
    return spawn_run(argv, (struct str){0}, &out, &err) == 0;
}

static void wait_until(const char *command, bool alive)
{
    int64_t deadline = time_mono_ms() + PATIENCE_MS;
    while (lives(command) != alive) {
        if (time_mono_ms() > deadline)
            fail_msg("%s is %s", command, alive ? "not there" : "still there");
        poll(NULL, 0, 10);
    }
}

static void time_is_limited_and_nothing_survives(void **state)
{
    (void)state;
    _cleanup_(output_close) struct output o = nowhere();
    struct err err;
    int status;
    _cleanup_free_ char *napping = nap(1), *script = xasprintf("setsid %s & %s", napping, napping);
    assert_int_equal(run(script, 1, NULL, &o, &status, &err), -ERR_TIMEOUT);
    assert_non_null(strstr(err.hint, "build_timeout"));
    wait_until(napping, false);
}

static void a_left_behind_process_does_not_hold_the_end_up(void **state)
{
    (void)state;
    _cleanup_(output_close) struct output o = nowhere();
    int status;
    int64_t before = time_mono_ms();
    _cleanup_free_ char *napping = nap(2), *script = xasprintf("setsid %s & exit 0", napping);
    assert_int_equal(run(script, 30, NULL, &o, &status, NULL), 0);
    assert_true(time_mono_ms() - before < PATIENCE_MS);
    wait_until(napping, false);
}

static void cancelling_ends_it_at_once(void **state)
{
    (void)state;
    _cleanup_(output_close) struct output o = nowhere();
    volatile bool flag = true;
    struct cancel cancel = {eventfd(1, EFD_CLOEXEC), &flag};
    int status;
    _cleanup_free_ char *napping = nap(3);
    assert_int_equal(run(napping, 30, &cancel, &o, &status, NULL), -ERR_CANCELLED);
    wait_until(napping, false);
    close(cancel.fd);
}

/* What kill -9 of the operator leaves of a build. */
static void it_dies_with_us(void **state)
{
    (void)state;
    _cleanup_free_ char *napping = nap(4), *script = xasprintf("setsid %s & %s", napping, napping);
    pid_t pid = fork();
    if (pid == 0) {
        struct output o = nowhere();
        int status;
        run(script, 60, NULL, &o, &status, NULL);
        _exit(0);
    }
    wait_until(napping, true);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    wait_until(napping, false);
}

/* The lock of stacks, held by a process that ends when `tell` is closed. */
static pid_t holder(const char *path, int *tell)
{
    int said[2], told[2];
    char byte = 0;
    assert_int_equal(pipe(said) | pipe(told), 0);
    pid_t pid = fork();
    if (!pid) {
        int fd = open(path, O_RDWR | O_CREAT, 0600);
        close(told[1]);
        _exit(flock(fd, LOCK_EX) < 0 || write(said[1], "y", 1) != 1 || read(told[0], &byte, 1) < 0);
    }
    close(said[1]);
    close(told[0]);
    assert_int_equal(read(said[0], &byte, 1), 1);
    close(said[0]);
    *tell = told[1];
    return pid;
}

static void who_waits_for_a_stack_can_be_cancelled_and_gets_the_lock(void **state)
{
    (void)state;
    struct err err;
    struct config c;
    _cleanup_free_ char *root = xasprintf("/tmp/davit-test-lock.%d", (int)getpid());
    assert_int_equal(config_parse(root, STR(""), &c, NULL), 0);
    _cleanup_free_ char *dir = path_join(c.cache, "build"), *path = path_join(dir, "stacks.lock");
    assert_int_equal(dir_make(dir, 0755, NULL), 0);
    _cleanup_(output_close) struct output o = nowhere();
    volatile bool cancelled = true;
    const struct cancel cancel = {eventfd(1, EFD_CLOEXEC), &cancelled};
    int tell, held = -1;
    pid_t pid = holder(path, &tell);
    struct stacks s = {.config = &c, .out = &o, .cancel = &cancel};
    assert_err(stack_lock(&s, "stacks", &held, &err), ERR_CANCELLED);
    close(tell); /* it ends, some time during the wait */
    s.cancel = NULL;
    assert_ok(stack_lock(&s, "stacks", &held, &err), err);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close(cancel.fd);
    pid = fork();
    if (!pid) {
        int fd = open(path, O_RDWR);
        _exit(flock(fd, LOCK_EX | LOCK_NB) < 0 ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0); /* it is ours, though another program waited */
    close(held);
    config_release(&c);
    dir_remove(root, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_and_output_come_out),
        cmocka_unit_test(a_program_that_is_not_there_is_an_error),
        cmocka_unit_test(mounts_stay_inside),
        cmocka_unit_test(time_is_limited_and_nothing_survives),
        cmocka_unit_test(a_left_behind_process_does_not_hold_the_end_up),
        cmocka_unit_test(cancelling_ends_it_at_once),
        cmocka_unit_test(it_dies_with_us),
        cmocka_unit_test(who_waits_for_a_stack_can_be_cancelled_and_gets_the_lock),
    };
    if (geteuid() != 0)
        return 77; /* meson: skipped */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
