#include "gateway/runtime.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/array.h"
#include "base/time.h"
#include "os/file.h"

/* Socket paths are limited to 107 bytes and folders below a --root are not: go through the
 * folder's descriptor. */
static int connect_to(const struct haproxy *h, const char *name, struct err *err)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/%s", h->dir_fd, name);
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_errno(err, "connecting to HAProxy");
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
        int e = errno;
        err_errno(err, "connecting to HAProxy's %s", name);
        if (err && (e == ECONNREFUSED || e == ENOENT || e == ECONNRESET))
            err->code = ERR_UNAVAILABLE;
        return e == ECONNREFUSED || e == ENOENT || e == ECONNRESET ? -ERR_UNAVAILABLE : -ERR_IO;
    }
    return TAKE_FD(fd);
}

static int read_all(int fd, struct buf *ret, struct err *err)
{
    int64_t deadline = time_mono_ms() + HAPROXY_TIMEOUT_MS;
    for (;;) {
        struct pollfd p = {fd, POLLIN, 0};
        int64_t left = deadline - time_mono_ms();
        int r = left > 0 ? poll(&p, 1, (int)left) : 0;
        if (r == 0)
            return err_set(err, ERR_TIMEOUT, "HAProxy doesn't answer");
        char chunk[65536];
        ssize_t n = r < 0 ? -1 : read(fd, chunk, sizeof(chunk));
        if (n == 0)
            return buf_check(ret, "HAProxy's answer", err);
        if (n > 0)
            buf_add(ret, chunk, (size_t)n);
        else if (errno != EINTR)
            return err_errno(err, "reading HAProxy's answer");
    }
}

int runtime_send(const struct haproxy *h, const char *name, const char *commands, struct buf *ret,
                 struct err *err)
{
    int r = connect_to(h, name, err);
    if (r < 0)
        return r;
    _cleanup_close_ int fd = r;
    _cleanup_free_ char *line = xasprintf("%s\n", commands);
    r = fd_write_all(fd, line, strlen(line), err);
    shutdown(fd, SHUT_WR); /* the master waits for more otherwise */
    return r < 0 ? r : read_all(fd, ret, err);
}

int runtime_ask(const struct haproxy *h, pid_t worker, const char *commands, struct buf *ret,
                struct err *err)
{
    if (worker == h->worker)
        return runtime_send(h, CONF_SOCKET, commands, ret, err);
    _cleanup_free_ char *line = xasprintf("@!%d %s", (int)worker, commands);
    return runtime_send(h, CONF_MASTER_SOCKET, line, ret, err);
}

/* The pid a line of `show proc` starts with, 0 if none; whether its second word is `kind`. */
static pid_t process_line(struct str line, const char *kind)
{
    _cleanup_free_ char *text = xstrndup(line.ptr, line.len);
    int pid;
    char word[16];
    return sscanf(text, "%d %15s", &pid, word) == 2 && streq(word, kind) ? pid : 0;
}

/* "12 master 3 [failed: 1] …" */
static void take_reloads(struct haproxy *h, struct str line)
{
    _cleanup_free_ char *text = xstrndup(line.ptr, line.len);
    int failed = 0;
    if (sscanf(text, "%*d master %d [failed: %d]", &h->reloads, &failed) == 2)
        h->reload_failed = failed > 0;
}

int runtime_processes(struct haproxy *h, pid_t *ret_master, pid_t *ret_worker, struct err *err)
{
    _cleanup_(buf_release) struct buf reply = BUF_INIT;
    int r = runtime_send(h, CONF_MASTER_SOCKET, "show proc", &reply, err);
    if (r < 0)
        return r;
    struct str rest = buf_str(&reply);
    pid_t master = 0, worker = 0, pid;
    bool old = false;
    h->n_former = 0;
    while (rest.len) {
        struct str line = str_cut(&rest, '\n');
        if (str_starts(line, STR("# ")))
            old = str_starts(line, STR("# old"));
        else if ((pid = process_line(line, "master"))) {
            master = pid;
            take_reloads(h, line);
        } else if ((pid = process_line(line, "worker")) && !old)
            worker = pid;
        else if (pid)
            *array_add(h->former, h->n_former) = pid;
    }
    if (!master || !worker)
        return err_set(err, ERR_UNAVAILABLE, "HAProxy's master has no worker");
    *ret_master = master;
    *ret_worker = worker;
    return 0;
}
