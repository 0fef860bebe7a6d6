/* Readiness: who listens where, answers to GET, and whole probes of a real process. Needs root: the
 * processes live in network namespaces of their own. */
#include "cm.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/time.h"
#include "os/file.h"
#include "os/netlink.h"
#include "os/spawn.h"
#include "run/command.h"
#include "run/httpget.h"
#include "run/listen.h"
#include "run/probe.h"

static int listener(const char *address, uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, address, &a.sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 16) < 0)
        _exit(1);
    return fd;
}

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

/* ---- GET ---- */

struct got {
    uv_loop_t *loop;
    char why[512];
    bool done;
};

static void on_got(void *ctx, const char *why)
{
    struct got *g = ctx;
    snprintf(g->why, sizeof(g->why), "%s", why ? why : "passed");
    g->done = true;
}

/* One nobody has reason to trust. */
static void make_certificate(const char *dir)
{
    struct err err;
    _cleanup_free_ char *key = xasprintf("%s/key", dir), *cert = xasprintf("%s/cert", dir);
    const char *const argv[] = {
        "openssl", "req",           "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
        "-nodes",  "-keyout",       key,     "-out",    cert, "-days",    "1",
        "-subj",   "/CN=elsewhere", NULL};
    assert_ok(spawn_run(argv, (struct str){NULL, 0}, NULL, &err), err);
}

/* A conversation with `fd`, over TLS if there is a certificate. */
struct talk {
    int fd;
    gnutls_session_t tls;
};

static struct talk talk_begin(int fd, const char *certificate)
{
    struct talk t = {.fd = fd};
    gnutls_certificate_credentials_t own;
    if (!certificate)
        return t;
    _cleanup_free_ char *key = xasprintf("%s/key", certificate),
                        *cert = xasprintf("%s/cert", certificate);
    if (gnutls_certificate_allocate_credentials(&own) < 0 ||
        gnutls_certificate_set_x509_key_file(own, cert, key, GNUTLS_X509_FMT_PEM) < 0 ||
        gnutls_init(&t.tls, GNUTLS_SERVER) < 0 || gnutls_set_default_priority(t.tls) < 0 ||
        gnutls_credentials_set(t.tls, GNUTLS_CRD_CERTIFICATE, own) < 0)
        _exit(1);
    gnutls_transport_set_int(t.tls, fd);
    if (gnutls_handshake(t.tls) < 0)
        _exit(1);
    return t;
}

static ssize_t talk_read(const struct talk *t, char *data, size_t n)
{
    return t->tls ? gnutls_record_recv(t->tls, data, n) : read(t->fd, data, n);
}

static ssize_t talk_write(const struct talk *t, const char *data, size_t n)
{
    return !n ? 0 : t->tls ? gnutls_record_send(t->tls, data, n) : write(t->fd, data, n);
}

static void get(const char *certificate, const char *answer, bool hang, const struct check *check,
                struct got *ret, char request[1024])
{
    int server = listener("127.0.0.1", 15988), copy[2];
    assert_int_equal(pipe2(copy, O_CLOEXEC), 0);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        struct talk t = talk_begin(accept(server, NULL, NULL), certificate);
        ssize_t n = talk_read(&t, request, 1024);
        if (n < 0 || write(copy[1], request, (size_t)n) < 0 ||
            talk_write(&t, answer, strlen(answer)) < 0)
            _exit(1);
        if (hang)
            pause();
        _exit(0);
    }
    close(server);
    close(copy[1]);
    uv_loop_t loop;
    uv_loop_init(&loop);
    *ret = (struct got){.loop = &loop};
    httpget_start(&loop, "127.0.0.1", 15988, check, on_got, ret);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(ret->done);
    assert_int_equal(uv_loop_close(&loop), 0);
    ssize_t n = read(copy[0], request, 1023);
    request[MAX(n, (ssize_t)0)] = '\0';
    close(copy[0]);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static void answers_to_get(void **state)
{
    (void)state;
    static const struct {
        const char *answer, *content, *why;
        bool hang;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", NULL, "passed", true},
        {"HTTP/1.0 204 \r\n\r\n", NULL, "passed", false},
        {"HTTP/1.1 302 Found\r\n\r\n", NULL, "answered GET /up with 302", false},
        {"HTTP/1.1 503 No\r\n\r\n", NULL, "answered GET /up with 503", true},
        {"HTTP/1.1 200 OK\r\n\r\nall is well", "well", "passed", true},
        {"HTTP/1.1 200 OK\r\n\r\nall is lost", "well", "answered GET /up without \"well\"", false},
        {"SSH-2.0-OpenSSH\r\n", NULL, "did not answer GET /up in HTTP", true},
        {"", NULL, "did not answer GET /up in HTTP", false},
        {"", NULL, "did not answer GET /up in time", true},
    };
    struct err err;
    char dir[] = "/tmp/davit-tls-XXXXXX";
    assert_non_null(mkdtemp(dir));
    make_certificate(dir);
    for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
        size_t k = i / 2;
        bool tls = i % 2;
        char request[1024];
        struct got g;
        struct check c = {.path = (char *)"/up",
                          .scheme = (char *)(tls ? "HTTPS" : "http"),
                          .content = (char *)cases[k].content,
                          .timeout = 1};
        get(tls ? dir : NULL, cases[k].answer, cases[k].hang, &c, &g, request);
        assert_string_equal(g.why, cases[k].why);
        assert_string_equal(request, "GET /up HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                                     "User-Agent: davit-check\r\nConnection: close\r\n\r\n");
    }
    assert_ok(dir_remove(dir, &err), err);
}

static void what_get_sends(void **state)
{
    (void)state;
    char request[1024];
    struct got g;
    struct check c = {.path = (char *)"/a b\r\nX: y", .timeout = 1};
    map_set(&c.headers, "X-Token", "t");
    map_set(&c.headers, "Evil", "a\r\nInjected: 1");
    get(NULL, "HTTP/1.1 200 OK\r\n\r\n", false, &c, &g, request);
    assert_string_equal(request, "GET /a_b__X:_y HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Token: t\r\n"
                                 "User-Agent: davit-check\r\nConnection: close\r\n\r\n");
    map_set(&c.headers, "Host", "shop.example");
    get(NULL, "HTTP/1.1 200 OK\r\n\r\n", false, &c, &g, request);
    assert_contains(request, "Host: shop.example\r\n");
    assert_null(strstr(request, "127.0.0.1"));
    map_release(&c.headers);
}

static void nobody_there(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct got g = {0};
    struct check c = {.path = (char *)"/", .timeout = 1};
    uv_loop_init(&loop);
    httpget_start(&loop, "127.0.0.1", 1, &c, on_got, &g);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_contains(g.why, "could not be asked GET /: connection refused");
    struct httpget *cancelled = httpget_start(&loop, "127.0.0.1", 1, &c, on_got, &g);
    g.done = false;
    httpget_cancel(cancelled);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_false(g.done);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void who_speaks_no_tls(void **state)
{
    (void)state;
    char request[1024];
    struct got g;
    struct check c = {.path = (char *)"/up", .scheme = (char *)"https", .timeout = 1};
    get(NULL, "HTTP/1.1 400 What?\r\n\r\n", true, &c, &g, request);
    assert_contains(g.why, "could not be asked GET /up by TLS: ");
    get(NULL, "", true, &c, &g, request);
    assert_string_equal(g.why, "did not answer GET /up in time");
    get(NULL, "", false, &c, &g, request);
    assert_string_equal(g.why, "did not answer GET /up in HTTP");
    assert_true(httpget_knows(NULL) && httpget_knows("") && httpget_knows("Http"));
    assert_false(httpget_knows("ftp"));
}

/* ---- commands ---- */

static void on_ended(void *ctx, int status) { *(int *)ctx = status; }

static void commands_end_or_are_ended(void **state)
{
    (void)state;
    static const struct {
        const char *script;
        int status;
    } cases[] = {
        {"exit 0", 0}, {"exit 3", 3}, {"kill -9 $$", 137}, {"sleep 60", COMMAND_TIMED_OUT}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *const argv[] = {"sh", "-c", cases[i].script, NULL};
        struct err err;
        struct command *c;
        uv_loop_t loop;
        int status = -99;
        uv_loop_init(&loop);
        assert_ok(command_start(&loop, argv, NULL, 300, on_ended, &status, &c, &err), err);
        uv_run(&loop, UV_RUN_DEFAULT);
        assert_int_equal(status, cases[i].status);
        assert_int_equal(uv_loop_close(&loop), 0);
    }
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* all were reaped */
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
        cmocka_unit_test(answers_to_get),
        cmocka_unit_test(what_get_sends),
        cmocka_unit_test(nobody_there),
        cmocka_unit_test(who_speaks_no_tls),
        cmocka_unit_test(commands_end_or_are_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
