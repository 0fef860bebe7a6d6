/* Readiness: who listens where, and whole probes of a real process. Needs root: the processes live
 * in network namespaces of their own. */
#include "cm.h"

#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/time.h"
#include "os/file.h"
#include "os/netlink.h"
#include "run/command.h"
#include "run/httpget.h"
#include "run/listen.h"
#include "run/probe.h"
#include "test_run_listener.h"

/* A socket as sock_diag describes it; listening unless the text ends in '!'. */
static void add_socket(const char *text, struct listeners *ret)
{
    struct inet_diag_msg m = {.idiag_state = 10};
    _cleanup_free_ char *address = xstrdup(text);
    char *port = strrchr(address, ':');
    *port++ = '\0';
    if (strchr(port, '!'))
        m.idiag_state = 1;
    m.id.idiag_sport = htons((uint16_t)atoi(port));
    m.idiag_family = strchr(address, ':') ? AF_INET6 : AF_INET;
    assert_int_equal(inet_pton(m.idiag_family, address, m.id.idiag_src), 1);
    listen_add(&m, 5000, inet_addr("10.10.3.5"), ret);
}

static void who_listens_where(void **state)
{
    (void)state;
    static const struct {
        const char *what, *sockets[2];
        bool reachable, loopback;
        uint16_t other;
    } cases[] = {
        {"nobody", {NULL}, false, false, 0},
        {"any", {"0.0.0.0:5000"}, true, false, 0},
        {"own address", {"10.10.3.5:5000"}, true, false, 0},
        {"another's address", {"10.10.3.6:5000"}, false, false, 0},
        {"loopback", {"127.0.0.1:5000"}, false, true, 0},
        {"127.8.0.1", {"127.8.0.1:5000"}, false, true, 0},
        {"a connection is no listener", {"0.0.0.0:5000!"}, false, false, 0},
        {"another port", {"0.0.0.0:3000"}, false, false, 3000},
        {"another port on loopback says nothing", {"127.0.0.1:9229"}, false, false, 0},
        {"the lowest other port", {"0.0.0.0:9000", "0.0.0.0:3000"}, false, false, 3000},
        {"both", {"127.0.0.1:5000", "10.10.3.5:5000"}, true, true, 0},
        {"v6 any", {":::5000"}, true, false, 0},
        {"v6 loopback", {"::1:5000"}, false, true, 0},
        {"v4 loopback in v6", {"::ffff:127.0.0.1:5000"}, false, true, 0},
        {"own address in v6", {"::ffff:10.10.3.5:5000"}, true, false, 0},
        {"v6 of somebody", {"2001:db8::1:5000"}, false, false, 0},
        {"v6 of nobody", {"::2:0:5000"}, false, false, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct listeners l = {0};
        for (size_t n = 0; n < 2 && cases[i].sockets[n]; n++)
            add_socket(cases[i].sockets[n], &l);
        if (l.reachable != cases[i].reachable || l.loopback != cases[i].loopback ||
            l.other_port != cases[i].other)
            fail_msg("%s: reachable %d, loopback %d, other %d", cases[i].what, l.reachable,
                     l.loopback, l.other_port);
    }
}

static void the_kernel_knows_our_own(void **state)
{
    (void)state;
    struct err err;
    struct listeners l = {0};
    _cleanup_close_ int fd = -1;
    int ours = listener("127.0.0.1", 15989), none;
    assert_ok(listen_open(getpid(), &fd, &err), err);
    assert_ok(listen_look(fd, 15989, 0, &l, &err), err);
    assert_true(l.loopback);
    close(ours);
    assert_ok(listen_look(fd, 15989, 0, &l, &err), err);
    assert_false(l.loopback);
    assert_err(listen_open(0x7ffffff0, &none, &err), ERR_NOT_FOUND);
}

/* ---- a process in a network namespace of its own ---- */

struct peer {
    pid_t pid;
    int say; /* a byte written here is an order */
};

/* Orders: l loopback, w wrong port, g the right one, x ends. */
static void obey(int orders)
{
    char order;
    struct err err;
    _cleanup_close_ int nl = -1;
    if (netlink_open(&nl, &err) < 0 ||
        netlink_configure(nl, NULL, (struct netlink_address){0}, (struct in_addr){0}, &err) < 0)
        _exit(1);
    while (read(orders, &order, 1) == 1) {
        if (order == 'l')
            listener("127.0.0.1", 5000);
        else if (order == 'w')
            listener("0.0.0.0", 3000);
        else if (order == 'g')
            listener("0.0.0.0", 5000);
        else
            _exit(0);
    }
}

static struct peer peer_start(void)
{
    int orders[2], ready[2];
    char c;
    assert_int_equal(pipe2(orders, O_CLOEXEC), 0);
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(orders[1]);
        if (unshare(CLONE_NEWNET) < 0 || write(ready[1], "r", 1) != 1)
            _exit(1);
        obey(orders[0]);
        _exit(0);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &c, 1), 1);
    close(ready[0]);
    close(orders[0]);
    return (struct peer){pid, orders[1]};
}

static void tell(const struct peer *a, const char *order)
{
    assert_int_equal(write(a->say, order, 1), 1);
}

static void peer_stop(struct peer *a)
{
    close(a->say);
    kill(a->pid, SIGKILL);
    waitpid(a->pid, NULL, 0);
}

/* ---- probes on a loop ---- */

static char run_dir[] = "/tmp/davit-probe-XXXXXX";

struct watcher {
    uv_loop_t loop;
    uv_timer_t timeout;
    struct probe *probe;
    struct process process;
    bool late;
};

static void changed(void *ctx) { uv_stop(&((struct watcher *)ctx)->loop); }

static void on_late(uv_timer_t *timer)
{
    struct watcher *w = timer->data;
    w->late = true;
    uv_stop(&w->loop);
}

static void watch(struct watcher *w, const struct peer *a, const char *type, const char *address)
{
    uv_loop_init(&w->loop);
    uv_timer_init(&w->loop, &w->timeout);
    w->timeout.data = w;
    w->process.type = xstrdup(type);
    struct probe_target t = {.pid = a->pid,
                             .shim = getpid(),
                             .container = "none",
                             .run_dir = run_dir,
                             .crun_root = "/nowhere",
                             .address = address,
                             .process = &w->process};
    w->probe = probe_start(&w->loop, &t, changed, w);
}

/* Runs until the probe is in `state`; within the time. */
static void await_state(struct watcher *w, enum probe_state state, int ms)
{
    w->late = false;
    uv_timer_start(&w->timeout, on_late, (uint64_t)ms, 0);
    while (probe_state(w->probe) != state && !w->late)
        uv_run(&w->loop, UV_RUN_DEFAULT);
    if (probe_state(w->probe) != state)
        fail_msg("state %d after %d ms instead of %d: %s", probe_state(w->probe), ms, state,
                 probe_reason(w->probe));
}

/* Turns the loop for a while, whatever happens. */
static void turn(struct watcher *w, int ms)
{
    w->late = false;
    uv_timer_start(&w->timeout, on_late, (uint64_t)ms, 0);
    while (!w->late)
        uv_run(&w->loop, UV_RUN_DEFAULT);
}

static void unwatch(struct watcher *w)
{
    probe_stop(w->probe);
    uv_close((uv_handle_t *)&w->timeout, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0); /* nothing was left behind */
    process_release(&w->process);
}

static struct check *add_check(struct watcher *w, int type)
{
    struct check *c = list_add(&w->process.checks, sizeof(*c));
    c->type = type;
    return c;
}

static void a_web_process_is_ready_when_it_listens(void **state)
{
    (void)state;
    struct peer a = peer_start();
    struct watcher w = {0};
    watch(&w, &a, "web", "127.0.0.1");
    turn(&w, 30);
    assert_int_equal(probe_state(w.probe), PROBE_WAITING);
    assert_string_equal(probe_reason(w.probe), "did not listen on port 5000");
    tell(&a, "g");
    await_state(&w, PROBE_READY, 5000);
    assert_string_equal(probe_reason(w.probe), "");
    unwatch(&w);
    peer_stop(&a);
}

static void listening_at_the_wrong_place_is_named_and_after_a_while_hopeless(void **state)
{
    (void)state;
    struct peer a = peer_start();
    struct watcher w = {0};
    watch(&w, &a, "web", "10.9.9.9");
    tell(&a, "w");
    await_state(&w, PROBE_STUCK, PROBE_STUCK_MS + 5000);
    assert_string_equal(probe_reason(w.probe), "listens on port 3000, but PORT is 5000");
    tell(&a, "l"); /* a second mistake is the nearer one */
    turn(&w, 200);
    assert_string_equal(probe_reason(w.probe),
                        "listens on 127.0.0.1:5000 only; it must listen on 0.0.0.0:$PORT (5000)");
    unwatch(&w);
    peer_stop(&a);
}

static void another_process_must_have_run_for_a_second(void **state)
{
    (void)state;
    struct peer a = peer_start();
    struct watcher w = {0};
    int64_t begin = time_mono_ms();
    watch(&w, &a, "worker", "127.0.0.1");
    await_state(&w, PROBE_READY, 5000);
    assert_true(time_mono_ms() - begin >= PROBE_UPTIME_MS);
    unwatch(&w);
    peer_stop(&a);
}

static void a_worker_may_ask_for_a_port(void **state)
{
    (void)state;
    struct peer a = peer_start();
    struct watcher w = {0};
    struct check *c = add_check(&w, CHECK_STARTUP);
    c->listening = true;
    c->port = 3000;
    watch(&w, &a, "worker", "127.0.0.1");
    turn(&w, 30);
    assert_int_equal(probe_state(w.probe), PROBE_WAITING);
    tell(&a, "w");
    await_state(&w, PROBE_READY, 5000);
    unwatch(&w);
    peer_stop(&a);
}

/* Liveness goes on after ready: the process ends, and with it its namespace's sockets. */
static void what_stops_listening_is_dead(void **state)
{
    (void)state;
    struct peer a = peer_start();
    struct watcher w = {0};
    struct check *c = add_check(&w, CHECK_LIVENESS);
    c->listening = true;
    c->attempts = 1;
    c->wait = 1;
    watch(&w, &a, "web", "127.0.0.1");
    tell(&a, "g");
    await_state(&w, PROBE_READY, 5000);
    tell(&a, "x");
    await_state(&w, PROBE_DEAD, 5000);
    unwatch(&w);
    peer_stop(&a);
}

static void a_readiness_check_that_fails_and_recovers(void **state)
{
    (void)state;
    struct peer a = peer_start();
    struct watcher w = {0};
    struct check *c = add_check(&w, CHECK_READINESS);
    c->path = xstrdup("/");
    c->attempts = 1;
    c->wait = 1;
    c->port = 15987; /* served by this test, on the host's loopback */
    int server = listener("127.0.0.1", 15987);
    pid_t child = fork();
    if (child == 0) { /* well, sick, well again */
        static const char *const answers[] = {"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.0 500 No\r\n\r\n",
                                              "HTTP/1.1 204 Fine\r\n\r\n"};
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (size_t i = 0; i < 3; i++) {
            char request[1024];
            int fd = accept(server, NULL, NULL);
            if (read(fd, request, sizeof(request)) < 0 ||
                write(fd, answers[i], strlen(answers[i])) < 0)
                _exit(1);
            close(fd);
        }
        _exit(0);
    }
    watch(&w, &a, "web", "127.0.0.1");
    tell(&a, "g");
    await_state(&w, PROBE_READY, 5000);
    await_state(&w, PROBE_FAILING, 5000);
    assert_string_equal(probe_reason(w.probe), "answered GET / with 500");
    await_state(&w, PROBE_READY, 5000);
    unwatch(&w);
    peer_stop(&a);
    close(server);
    waitpid(child, NULL, 0);
}

static void a_command_that_fails_is_named(void **state)
{
    (void)state;
    struct peer a = peer_start();
    struct watcher w = {0};
    struct err err;
    assert_non_null(mkdtemp(run_dir));
    _cleanup_free_ char *config = xasprintf("%s/config.json", run_dir);
    struct check *c = add_check(&w, CHECK_STARTUP);
    assert_ok(file_replace(config, STR("{\"process\":{}}"), 0600, &err), err);
    strv_add(&c->command, "/bin/health");
    c->attempts = 1;
    c->wait = 1;
    watch(&w, &a, "worker", "127.0.0.1");
    await_state(&w, PROBE_STUCK, 10000); /* crun knows no container `none` */
    assert_contains(probe_reason(w.probe), "failed its check '/bin/health' with status");
    unwatch(&w);
    assert_ok(dir_remove(run_dir, &err), err);
    peer_stop(&a);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_listens_where),
        cmocka_unit_test(the_kernel_knows_our_own),
        cmocka_unit_test(a_web_process_is_ready_when_it_listens),
        cmocka_unit_test(listening_at_the_wrong_place_is_named_and_after_a_while_hopeless),
        cmocka_unit_test(another_process_must_have_run_for_a_second),
        cmocka_unit_test(a_worker_may_ask_for_a_port),
        cmocka_unit_test(what_stops_listening_is_dead),
        cmocka_unit_test(a_readiness_check_that_fails_and_recovers),
        cmocka_unit_test(a_command_that_fails_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
