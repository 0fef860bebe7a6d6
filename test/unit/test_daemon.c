/* davitd's parent: locks, the wait before a restart, the log and its rotation. */
#include "cm.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/daemon.h"
#include "daemon/logfile.h"
#include "os/file.h"

static char root[64];

static int setup(void **state)
{
    static struct config c;
    snprintf(root, sizeof(root), "/tmp/davit-test-daemon.%d", (int)getpid());
    if (config_parse(root, STR("log_file_max = 1\nlog_files = 3\nuser = nobody\n"), &c, NULL) < 0 ||
        dir_make(c.run, 0755, NULL) < 0 || dir_make(c.log, 0755, NULL) < 0)
        return -1;
    *state = &c;
    return 0;
}

static int gone(void **state)
{
    config_release(*state);
    return dir_remove(root, NULL) < 0 ? -1 : 0;
}

static void a_child_that_dies_waits_longer_each_time(void **state)
{
    (void)state;
    static const struct {
        int64_t before, ran, wait;
    } cases[] = {{0, 0, 100},       {100, 10, 200},      {200, 59999, 400}, {6400, 0, 10000},
                 {10000, 0, 10000}, {10000, 60000, 100}, {0, 60000, 100}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(backoff_next(cases[i].before, cases[i].ran), cases[i].wait);
}

/* A process that takes the lock, says so, and holds it until it is told to end. */
static pid_t holder(const struct config *c, int *tell)
{
    int said[2], told[2];
    assert_int_equal(pipe(said) | pipe(told), 0);
    pid_t pid = fork();
    if (!pid) {
        char byte = root_lock(c, "it", 0, NULL) == 0 ? 'y' : 'n';
        close(told[1]);
        if (write(said[1], &byte, 1) == 1 && read(told[0], &byte, 1) >= 0)
            _exit(0);
        _exit(1);
    }
    char byte = 0;
    close(said[1]);
    close(told[0]);
    assert_int_equal(read(said[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    close(said[0]);
    *tell = told[1];
    return pid;
}

static void a_lock_names_its_holder(void **state)
{
    const struct config *c = *state;
    struct err err;
    int tell;
    assert_int_equal(root_holder(c, "it"), 0);
    pid_t pid = holder(c, &tell);
    assert_int_equal(root_holder(c, "it"), pid);
    assert_err(root_lock(c, "it", 0, &err), ERR_EXISTS);
    _cleanup_free_ char *process = xasprintf("process %d", (int)pid);
    assert_contains(err.msg, process);
    assert_contains(err.msg, root);
    assert_contains(err.hint, "kill");
    kill(pid, SIGKILL); /* however it ends, the lock is free */
    waitpid(pid, NULL, 0);
    close(tell);
    assert_int_equal(root_holder(c, "it"), 0);
}

static void a_lock_is_awaited(void **state)
{
    const struct config *c = *state;
    struct err err;
    int tell;
    pid_t pid = holder(c, &tell);
    assert_err(root_lock(c, "it", 60, &err), ERR_EXISTS);
    close(tell); /* it ends, some time during the wait */
    assert_ok(root_lock(c, "it", 10000, &err), err);
    waitpid(pid, NULL, 0);
}

static off_t size_of(const struct config *c, const char *name)
{
    struct stat st;
    _cleanup_free_ char *path = path_join(c->log, "%s", name);
    return stat(path, &st) < 0 ? -1 : st.st_size;
}

static void the_log_is_rotated(void **state)
{
    const struct config *c = *state;
    struct err err;
    _cleanup_(logfile_freep) struct logfile *l = NULL;
    assert_ok(logfile_open(c, false, &l, &err), err);
    char line[1024];
    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 1] = '\n';
    for (size_t i = 0; i < 4500; i++) {
        assert_int_equal(write(logfile_pipe(l), line, sizeof(line)), sizeof(line));
        logfile_pump(l);
    }
    assert_int_equal(size_of(c, "davitd.log.1"), 1 << 20);
    assert_int_equal(size_of(c, "davitd.log.2"), 1 << 20);
    assert_int_equal(size_of(c, "davitd.log.3"), -1);
    assert_int_equal(size_of(c, "davitd.log"), 4500 * 1024 - 4 * (1 << 20));
}

/* User davit may make entries in run/davit, too: root's are not looked for behind a link of his. */
static void root_follows_no_link_to_where_shims_mount(void **state)
{
    const struct config *c = *state;
    static const char *const names[] = {"sysfs", "userns"};
    struct err err;
    struct stat st;
    if (geteuid() != 0)
        skip(); /* it gives folders to others */
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        _cleanup_free_ char *point = path_join(c->run, "%s", names[i]);
        _cleanup_free_ char *elsewhere = path_join(root, "elsewhere");
        dir_remove(point, NULL);
        unlink(point);
        assert_int_equal(symlink(elsewhere, point), 0);
        assert_true(folders_make(c, &err) < 0);
        assert_non_null(strstr(err.msg, names[i]));
        assert_false(path_exists(elsewhere));
        assert_int_equal(unlink(point), 0);
        for (int again = 0; again < 2; again++) /* what is there stays */
            if (folders_make(c, &err) < 0)
                fail_msg("%s", err.msg);
        assert_int_equal(lstat(point, &st), 0);
        assert_true(st.st_uid == 0 && (i == 0 ? S_ISDIR(st.st_mode) : S_ISREG(st.st_mode)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_that_dies_waits_longer_each_time),
        cmocka_unit_test_setup_teardown(a_lock_names_its_holder, setup, gone),
        cmocka_unit_test_setup_teardown(a_lock_is_awaited, setup, gone),
        cmocka_unit_test_setup_teardown(the_log_is_rotated, setup, gone),
        cmocka_unit_test_setup_teardown(root_follows_no_link_to_where_shims_mount, setup, gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
