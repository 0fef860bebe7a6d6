#include "cm.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "os/below.h"
#include "os/file.h"
#include "os/port.h"
#include "os/spawn.h"

static char dir[] = "/tmp/davit-os-XXXXXX";

static void what_others_put_in_the_way_is_not_opened(void **state)
{
    (void)state;
    enum { MAKE = O_WRONLY | O_CREAT };
    _cleanup_close_ int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_close_ int folder = below_folder(at, "below", 0755);
    _cleanup_close_ int fd = below_open(folder, "file", MAKE, 0600);
    assert_true(fd >= 0);
    assert_int_equal(symlinkat("elsewhere", folder, "link"), 0);
    assert_int_equal(symlinkat("below", at, "swapped"), 0);
    assert_int_equal(mkfifoat(folder, "pipe", 0600), 0);
    assert_int_equal(linkat(folder, "file", folder, "second", 0), 0);
    const struct {
        const char *path;
        int expected;
    } cases[] = {{"below/link", ELOOP},   {"swapped/new", ELOOP}, {"below/second", EINVAL},
                 {"below/pipe", EINVAL},  {"../passwd", EXDEV},   {"/etc/passwd", EXDEV},
                 {"below/../../x", EXDEV}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int flags = streq(cases[i].path, "below/pipe") ? O_RDONLY : MAKE;
        assert_int_equal(below_open(at, cases[i].path, flags, 0600), -1);
        assert_int_equal(errno, cases[i].expected);
    }
    assert_int_equal(below_folder(at, "swapped", 0755), -1);
    assert_int_equal(faccessat(folder, "elsewhere", F_OK, 0), -1);
    assert_int_equal(faccessat(folder, "new", F_OK, 0), -1);
}

static void files_are_replaced_whole(void **state)
{
    (void)state;
    struct err err;
    char path[64];
    snprintf(path, sizeof(path), "%s/f", dir);
    assert_ok(file_write_atomic(path, STR("one"), 0600, &err), err);
    assert_ok(file_replace(path, STR("two"), 0640, &err), err);
    _cleanup_(buf_release) struct buf b = BUF_CAP(100);
    assert_ok(file_read(path, &b, &err), err);
    assert_string_equal(b.ptr, "two");
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    _cleanup_(buf_release) struct buf small = BUF_CAP(2);
    assert_err(file_read(path, &small, &err), ERR_TOO_LARGE);
    assert_err(file_write_atomic("/nowhere/at/all", STR(""), 0600, &err), ERR_NOT_FOUND);
}

static int listen_at(in_addr_t ip, int *ret_port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = ip};
    socklen_t n = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, n), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    *ret_port = ntohs(a.sin_port);
    return fd;
}

static void who_holds_a_port(void **state)
{
    (void)state;
    int port;
    struct port_holder h;
    int fd = listen_at(htonl(0x7f000201), &port);
    assert_true(port_holder("127.0.2.1", port, &h));
    assert_int_equal(h.pid, getpid());
    assert_int_equal(h.uid, getuid());
    _cleanup_free_ char *want = xasprintf("test_os (pid %d)", (int)getpid()),
                        *said = port_holder_text(&h);
    assert_string_equal(said, want);
    assert_true(port_holder("*", port, &h));
    assert_false(port_holder("127.0.2.2", port, &h));
    assert_false(port_holder("::1", port, &h));
    close(fd);
    assert_false(port_holder("127.0.2.1", port, &h));
    fd = listen_at(INADDR_ANY, &port);
    assert_true(port_holder("127.0.2.2", port, &h));
    close(fd);
    h = (struct port_holder){.uid = 0};
    _cleanup_free_ char *unseen = port_holder_text(&h);
    assert_string_equal(unseen, "a program of user root");
}

static void trees_go_without_following_links(void **state)
{
    (void)state;
    struct err err;
    char deep[96], link[96], outside[64], top[64];
    snprintf(top, sizeof(top), "%s/tree", dir);
    snprintf(deep, sizeof(deep), "%s/a/b/c", top);
    snprintf(outside, sizeof(outside), "%s/outside", dir);
    snprintf(link, sizeof(link), "%s/a/link", top);
    assert_ok(dir_make(deep, 0755, &err), err);
    assert_ok(dir_make(deep, 0755, &err), err);
    assert_ok(dir_make(outside, 0755, &err), err);
    assert_int_equal(symlink(outside, link), 0);
    assert_ok(dir_remove(top, &err), err);
    assert_false(path_exists(top));
    assert_true(path_exists(outside));
    assert_ok(dir_remove(top, &err), err);
}

static void programs_run_with_input_and_output(void **state)
{
    (void)state;
    struct err err;
    const char *const cat[] = {"cat", NULL};
    size_t n = (size_t)1 << 20;
    char *large = xmalloc(n);
    memset(large, 'a', n);
    _cleanup_(buf_release) struct buf out = BUF_CAP(n);
    assert_ok(spawn_run(cat, (struct str){large, n}, &out, &err), err);
    assert_int_equal(out.len, n);
    free(large);
    const char *const complain[] = {"sh", "-c", "echo first >&2; echo why >&2; exit 3", NULL};
    assert_err(spawn_run(complain, (struct str){0}, NULL, &err), ERR_INTERNAL);
    assert_string_equal(err.msg, "sh ended with status 3: why");
    const char *const none[] = {"davit-no-such-program", NULL};
    assert_err(spawn_run(none, (struct str){0}, NULL, &err), ERR_NOT_FOUND);
}

static int lowest_free(void)
{
    int fd = dup(0);
    close(fd);
    return fd;
}

/* Whichever of the descriptors that it needs isn't to be had. */
static void programs_that_do_not_start_leave_nothing_open(void **state)
{
    (void)state;
    const char *const argv[] = {"cat", NULL};
    struct err err;
    struct rlimit before, few;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int first = lowest_free();
    for (int more = 0; more < 9; more++) {
        few = (struct rlimit){(rlim_t)(first + more), before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        int r = spawn_run(argv, STR("text"), NULL, &err);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_err(r, ERR_IO);
        assert_int_equal(lowest_free(), first);
    }
}

static void programs_inherit_nothing(void **state)
{
    (void)state;
    struct err err;
    int leak = open("/dev/null", O_RDONLY); /* on purpose without O_CLOEXEC */
    const char *const ls[] = {"ls", "/proc/self/fd", NULL};
    _cleanup_(buf_release) struct buf out = BUF_CAP(100);
    assert_ok(spawn_run(ls, (struct str){0}, &out, &err), err);
    close(leak);
    assert_string_equal(out.ptr, "0\n1\n2\n3\n"); /* 3: the folder it reads */
}

/* What a program started with `s` says of itself. */
static void ask(struct spawn s, const char *script, struct buf *ret)
{
    struct err err;
    int out[2];
    const char *const argv[] = {"sh", "-c", script, NULL};
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    s.argv = argv;
    s.fds[0] = s.fds[2] = -1;
    s.fds[1] = out[1];
    pid_t pid = spawn_start(&s, &err);
    if (pid < 0)
        fail_msg("%s", err.msg);
    close(out[1]);
    char chunk[4096];
    ssize_t n;
    while ((n = read(out[0], chunk, sizeof(chunk))) > 0)
        buf_add(ret, chunk, (size_t)n);
    close(out[0]);
    assert_int_equal(spawn_wait(pid), 0);
}

static void programs_run_as_somebody_else(void **state)
{
    (void)state;
    if (getuid() != 0)
        skip();
    _cleanup_(buf_release) struct buf said = BUF_CAP(4096);
    uid_t before = geteuid();
    ask((struct spawn){.uid = 4242, .gid = 4243, .cwd = "/usr"},
        "id -u; id -G; pwd; grep -E 'SigBlk|SigIgn' /proc/self/status", &said);
    assert_contains(said.ptr, "4242\n4243\n/usr\n");
    assert_contains(said.ptr, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
    assert_int_equal(geteuid(), before); /* the child had our memory, not our ids */
}

static void *spawn_in_a_thread(void *ret)
{
    programs_run_as_somebody_else(NULL);
    *(bool *)ret = true;
    return NULL;
}

static void threads_start_programs_too(void **state)
{
    (void)state;
    pthread_t thread;
    bool done = false;
    if (getuid() != 0)
        skip();
    assert_int_equal(pthread_create(&thread, NULL, spawn_in_a_thread, &done), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(done);
}

static void a_session_of_its_own(void **state)
{
    (void)state;
    _cleanup_(buf_release) struct buf ours = BUF_CAP(4096), own = BUF_CAP(4096);
    ask((struct spawn){0}, "cut -d' ' -f6 /proc/$$/stat", &ours);
    ask((struct spawn){.new_session = true}, "cut -d' ' -f6 /proc/$$/stat", &own);
    assert_int_equal(atoi(ours.ptr), getsid(0));
    assert_int_not_equal(atoi(own.ptr), getsid(0));
}

static void a_path_has_components(void **state)
{
    (void)state;
    assert_true(path_is_component("a b"));
    assert_false(path_is_component(""));
    assert_false(path_is_component(".."));
    assert_false(path_is_component("a/b"));
}

static int setup(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return dir_remove(dir, NULL);
}

static void what_runs_as_nobody_gets_nothing_of_our_session(void **state)
{
    (void)state;
    struct err err;
    _cleanup_(strv_release) struct strv argv = {0};
    _cleanup_(buf_release) struct buf out = BUF_INIT;
    if (geteuid() != 0)
        skip();
    setenv("XDG_RUNTIME_DIR", "/run/user/0", 1);
    setenv("REGISTRY_AUTH_FILE", "/root/auth.json", 1);
    setenv("no_proxy", "example.org", 1);
    spawn_as(65534, &argv);
    strv_add(&argv, "env");
    int r = spawn_run((const char *const *)strv_argv(&argv), (struct str){0}, &out, &err);
    unsetenv("XDG_RUNTIME_DIR");
    unsetenv("REGISTRY_AUTH_FILE");
    unsetenv("no_proxy");
    if (r < 0)
        fail_msg("%s", err.msg);
    assert_null(strstr(out.ptr, "auth.json"));
    assert_null(strstr(out.ptr, "/run/user"));
    assert_non_null(strstr(out.ptr, "no_proxy=example.org\n"));
    assert_non_null(strstr(out.ptr, "HOME=/nonexistent\n"));
    assert_non_null(strstr(out.ptr, "PATH="));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_runs_as_nobody_gets_nothing_of_our_session),
        cmocka_unit_test(files_are_replaced_whole),
        cmocka_unit_test(who_holds_a_port),
        cmocka_unit_test(trees_go_without_following_links),
        cmocka_unit_test(programs_run_with_input_and_output),
        cmocka_unit_test(programs_that_do_not_start_leave_nothing_open),
        cmocka_unit_test(programs_inherit_nothing),
        cmocka_unit_test(programs_run_as_somebody_else),
        cmocka_unit_test(threads_start_programs_too),
        cmocka_unit_test(a_session_of_its_own),
        cmocka_unit_test(what_others_put_in_the_way_is_not_opened),
        cmocka_unit_test(a_path_has_components),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
