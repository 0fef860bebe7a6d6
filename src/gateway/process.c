#include "gateway/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/time.h"
#include "gateway/log.h"
#include "gateway/ports.h"
#include "os/file.h"
#include "os/spawn.h"

#define OUTPUT_FILE "haproxy.log" /* warnings and errors of HAProxy itself: a line an order */
enum { OUTPUT_MAX = 1 << 20 };

int haproxy_open(const struct config *c, struct haproxy *ret, struct err *err)
{
    _cleanup_free_ char *dir = path_join(c->run, "gateway");
    int r = dir_make(dir, 0750, err);
    if (r < 0)
        return r;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, "opening %s", dir);
    *ret = (struct haproxy){
        .config = c, .dir = TAKE_PTR(dir), .dir_fd = fd, .master_fd = -1, .worker_fd = -1};
    return 0;
}

void haproxy_forget(struct haproxy *h)
{
    /* Ours until it is reaped; one that was adopted isn't our child, which is fine too. */
    if (h->master_fd >= 0)
        waitid(P_PIDFD, (id_t)h->master_fd, NULL, WEXITED | WNOHANG);
    closep(&h->master_fd);
    closep(&h->worker_fd);
    h->master_fd = h->worker_fd = -1;
    h->master = h->worker = 0;
    h->n_former = 0;
}

void haproxy_close(struct haproxy *h)
{
    haproxy_forget(h);
    free(h->former);
    free(h->dir);
    closep(&h->dir_fd);
    *h = (struct haproxy){.dir_fd = -1, .master_fd = -1, .worker_fd = -1};
}

static struct conf_limits limits_now(void)
{
    struct rlimit files = {.rlim_cur = 1024};
    getrlimit(RLIMIT_NOFILE, &files);
    cpu_set_t cpus;
    int n = sched_getaffinity(0, sizeof(cpus), &cpus) ? 1 : CPU_COUNT(&cpus);
    return (struct conf_limits){.files = files.rlim_max, .cpus = (unsigned)MAX(n, 1)};
}

/* --- files ----------------------------------------------------------------------------------- */

static int write_in(const struct haproxy *h, const char *name, const struct buf *b, struct err *err)
{
    int r = buf_check(b, name, err);
    _cleanup_free_ char *path = path_join(h->dir, "%s", name);
    return r < 0 ? r : file_replace(path, buf_str(b), 0640, err);
}

static int write_page(const struct haproxy *h, const struct conf_page *p, struct err *err)
{
    _cleanup_(buf_release) struct buf html = BUF_CAP(8192), page = BUF_CAP(16384);
    _cleanup_free_ char *from = path_join(h->config->data, "errors/%s.html", p->page);
    char name[16];
    snprintf(name, sizeof(name), "%d.http", p->status);
    int r = file_read(from, &html, err);
    if (r < 0)
        return r;
    conf_render_page(p, buf_str(&html), &page);
    return write_in(h, name, &page, err);
}

static int write_files(const struct haproxy *h, const struct state *s, struct err *err)
{
    int r = 0;
    for (const struct conf_page *p = conf_pages; !r && p->status; p++)
        r = write_page(h, p, err);
    for (int i = 0; !r && i < TABLES; i++) {
        _cleanup_(buf_release) struct buf rows = BUF_CAP(HAPROXY_REPLY_MAX);
        conf_render_table(&s->tables[i], &rows);
        r = write_in(h, table_files[i], &rows, err);
    }
    _cleanup_(buf_release) struct buf conf = BUF_CAP(HAPROXY_REPLY_MAX);
    conf_render(h->config, limits_now(), s, &conf);
    return r < 0 ? r : write_in(h, CONF_FILE, &conf, err);
}

bool haproxy_is_current(struct haproxy *h)
{
    _cleanup_(buf_release) struct buf conf = BUF_CAP(HAPROXY_REPLY_MAX);
    _cleanup_free_ char *path = path_join(h->dir, CONF_FILE);
    return !file_read(path, &conf, NULL) && conf_matches(h->config, limits_now(), buf_str(&conf));
}

/* Until certificates come from elsewhere: one of our own, for the domain and what is below it. */
static int make_certificate(const struct haproxy *h, struct err *err)
{
    const struct config *c = h->config;
    _cleanup_free_ char *cert = path_join(h->dir, CONF_CERT);
    _cleanup_free_ char *kept = path_join(c->state, "gateway/" CONF_CERT);
    _cleanup_(buf_release) struct buf pem = BUF_CAP(1 << 20);
    if (file_read(kept, &pem, NULL) < 0) {
        _cleanup_free_ char *dir = path_join(c->state, "gateway");
        _cleanup_free_ char *subject = xasprintf("/CN=%.60s", c->domain);
        _cleanup_free_ char *names =
            xasprintf("subjectAltName=DNS:%s,DNS:*.%s", c->domain, c->domain);
        const char *const argv[] = {"openssl",
                                    "req",
                                    "-x509",
                                    "-newkey",
                                    "ec",
                                    "-pkeyopt",
                                    "ec_paramgen_curve:prime256v1",
                                    "-nodes",
                                    "-keyout",
                                    "-",
                                    "-days",
                                    "3650",
                                    "-subj",
                                    subject,
                                    "-addext",
                                    names,
                                    NULL};
        buf_reset(&pem);
        int r = spawn_run(argv, (struct str){0}, &pem, err);
        if (r < 0 || (r = dir_make(dir, 0700, err)) < 0 ||
            (r = file_write_atomic(kept, buf_str(&pem), 0600, err)) < 0)
            return err_wrap(err, "making a certificate for %s", c->domain);
    }
    return file_replace(cert, buf_str(&pem), 0600, err);
}

void haproxy_trim_output(struct haproxy *h)
{
    struct stat st;
    _cleanup_close_ int fd = openat(h->dir_fd, OUTPUT_FILE, O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && !fstat(fd, &st) && st.st_size > OUTPUT_MAX && ftruncate(fd, 0) < 0)
        return; /* a full disk has worse in store */
}

/* --- life ------------------------------------------------------------------------------------ */

/* What was printed since the last reload began, if there was one. */
static struct str last_attempt(struct str output)
{
    static const char mark[] = "Reloading HAProxy\n";
    const char *at;
    while ((at = memmem(output.ptr, output.len, mark, sizeof(mark) - 1))) {
        at += sizeof(mark) - 1;
        output = (struct str){at, (size_t)(output.ptr + output.len - at)};
    }
    return output;
}

/* What HAProxy complained of: its alerts, without their decoration. */
static int say_why(const struct haproxy *h, struct err *err)
{
    _cleanup_(buf_release) struct buf output = BUF_CAP(4 * OUTPUT_MAX);
    _cleanup_free_ char *path = path_join(h->dir, OUTPUT_FILE);
    file_read(path, &output, NULL);
    struct str rest = last_attempt(buf_str(&output));
    while (rest.len) {
        struct str line = str_trim(str_cut(&rest, '\n'));
        if (!str_starts(line, STR("[ALERT]")))
            continue;
        str_cut(&line, ':');
        line = str_trim(line);
        _cleanup_free_ char *why =
            xasprintf("HAProxy doesn't start: %.*s", (int)line.len, line.ptr);
        if (strstr(why, "Address already in use"))
            return port_taken(err, why);
        return err_set(err, ERR_UNAVAILABLE, "%s", why);
    }
    return err_set(err, ERR_UNAVAILABLE, "HAProxy doesn't start");
}

/* Its stderr is the file of its output, locked: so the kernel tells whether one lives, also one
 * that has no socket yet because we were killed while it started. */
static bool lives(const struct haproxy *h)
{
    _cleanup_close_ int fd = openat(h->dir_fd, OUTPUT_FILE, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

static pid_t spawn_master(const struct haproxy *h, int log, int *ret_pidfd, struct err *err)
{
    _cleanup_close_ int output =
        openat(h->dir_fd, OUTPUT_FILE, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (output < 0)
        return err_errno(err, "opening %s/%s", h->dir, OUTPUT_FILE);
    if (flock(output, LOCK_EX | LOCK_NB) < 0)
        return err_set(err, ERR_UNAVAILABLE, "another HAProxy has not ended yet");
    if (ftruncate(output, 0) < 0)
        return err_errno(err, "emptying %s/%s", h->dir, OUTPUT_FILE);
    const char *const argv[] = {"haproxy", "-W",      "-S", "unix@" CONF_MASTER_SOCKET ",mode,600",
                                "-f",      CONF_FILE, NULL};
    return spawn_start(&(struct spawn){.argv = argv,
                                       .cwd = h->dir,
                                       .fds = {-1, log, output},
                                       .new_session = true,
                                       .pidfd = ret_pidfd},
                       err);
}

/* Learns the processes and gets hold of them. */
static int take_hold(struct haproxy *h, struct err *err)
{
    pid_t master, worker;
    int r = runtime_processes(h, &master, &worker, err);
    if (r < 0)
        return r;
    if (h->master_fd < 0)
        h->master_fd = pidfd_open(master, 0);
    closep(&h->worker_fd);
    h->worker_fd = pidfd_open(worker, 0);
    if (h->master_fd < 0 || h->worker_fd < 0)
        return err_set(err, ERR_UNAVAILABLE, "HAProxy has just ended");
    h->master = master;
    h->worker = worker;
    _cleanup_(buf_release) struct buf reply = BUF_INIT;
    return runtime_ask(h, worker, "show version", &reply, err);
}

/* Until the worker answers, the master has ended, or too much time has passed. */
static int await_worker(struct haproxy *h, pid_t not_this_one, struct err *err)
{
    int reloads = h->reloads;
    int64_t deadline = time_mono_ms() + HAPROXY_TIMEOUT_MS * 4;
    while (time_mono_ms() < deadline) {
        if (!take_hold(h, NULL) && h->worker != not_this_one)
            return 0;
        if (not_this_one && h->reload_failed && h->reloads != reloads)
            return say_why(h, err);
        struct pollfd p = {h->master_fd, POLLIN, 0};
        if (poll(&p, h->master_fd >= 0, 5) > 0)
            return say_why(h, err);
    }
    return err_set(err, ERR_TIMEOUT, "HAProxy doesn't get ready");
}

int haproxy_start(struct haproxy *h, const struct state *s, struct err *err)
{
    haproxy_forget(h);
    int r = ports_await(h->config, err);
    if (r < 0 || (r = make_certificate(h, err)) < 0 || (r = write_files(h, s, err)) < 0)
        return r;
    unlinkat(h->dir_fd, CONF_SOCKET, 0);
    unlinkat(h->dir_fd, CONF_MASTER_SOCKET, 0);
    _cleanup_close_ int log = log_pipe_for_writer(h->dir_fd, err);
    if (log < 0)
        return log;
    r = spawn_master(h, log, &h->master_fd, err);
    return r < 0 ? r : await_worker(h, 0, err);
}

int haproxy_reload(struct haproxy *h, const struct state *s, struct err *err)
{
    _cleanup_(buf_release) struct buf reply = BUF_INIT;
    int r = ports_check(h->config, true, err);
    if (r < 0 || (r = make_certificate(h, err)) < 0 || (r = write_files(h, s, err)) < 0 ||
        (r = runtime_send(h, CONF_MASTER_SOCKET, "reload", &reply, err)) < 0)
        return r;
    r = await_worker(h, h->worker, err);
    if (r < 0) /* the file is not what runs */
        unlinkat(h->dir_fd, CONF_FILE, 0);
    return r;
}

int haproxy_adopt(struct haproxy *h, struct err *err)
{
    int64_t deadline = time_mono_ms() + HAPROXY_TIMEOUT_MS * 4;
    int r;
    while (haproxy_forget(h),
           (r = take_hold(h, err)) == -ERR_UNAVAILABLE && lives(h) && time_mono_ms() < deadline)
        poll(NULL, 0, 5);
    if (r < 0)
        haproxy_forget(h);
    return r == -ERR_UNAVAILABLE ? err_set(err, ERR_NOT_FOUND, "no HAProxy runs") : r;
}

int haproxy_stop(struct haproxy *h, struct err *err)
{
    int r = haproxy_adopt(h, err);
    if (r == -ERR_NOT_FOUND)
        return 0;
    if (r < 0)
        return r;
    pidfd_send_signal(h->master_fd, SIGTERM, NULL, 0);
    struct pollfd p = {h->master_fd, POLLIN, 0};
    if (poll(&p, 1, HAPROXY_TIMEOUT_MS) <= 0) {
        pidfd_send_signal(h->worker_fd, SIGKILL, NULL, 0);
        pidfd_send_signal(h->master_fd, SIGKILL, NULL, 0);
        poll(&p, 1, HAPROXY_TIMEOUT_MS);
    }
    haproxy_forget(h);
    return 0;
}
