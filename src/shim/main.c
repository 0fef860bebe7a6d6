/* davit-shim DIR: supervises one instance. See ARCHITECTURE.md, "Instances". */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/time.h"
#include "os/file.h"
#include "pact/spec.h"
#include "shim/supervisor.h"

/* A child that a killed shim had just forked may hold its lock for a moment longer. */
static int lock_within(int fd, int64_t wait_ms)
{
    int64_t deadline = time_mono_ms() + wait_ms;
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK || time_mono_ms() >= deadline)
            return -1;
        poll(NULL, 0, 5);
    }
    return 0;
}

/* Takes the lock and puts our pid into it; the lock ends with us. */
static int take_lock(const char *path, int *ret, struct err *err)
{
    _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    char pid[16];
    int n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
    if (fd < 0)
        return err_errno(err, "opening %s", path);
    if (lock_within(fd, 500) < 0)
        return errno == EWOULDBLOCK ? err_set(err, ERR_CONFLICT, "another shim has %s", path)
                                    : err_errno(err, "locking %s", path);
    if (ftruncate(fd, 0) < 0 || pwrite(fd, pid, (size_t)n, 0) != n)
        return err_errno(err, "writing %s", path);
    *ret = TAKE_FD(fd);
    return 0;
}

static int run(const char *dir, struct err *err)
{
    _cleanup_free_ char *lock = xasprintf("%s/lock", dir), *file = xasprintf("%s/spec", dir);
    _cleanup_(buf_release) struct buf text = BUF_CAP(1 << 20);
    _cleanup_(pact_spec_release) struct spec spec = {0};
    _cleanup_close_ int locked = -1;
    if (dir[0] != '/')
        return err_set(err, ERR_USAGE, "%s must be an absolute path", dir);
    int r = take_lock(lock, &locked, err);
    if (!r)
        r = file_read(file, &text, err);
    if (!r)
        r = pact_spec_parse(buf_str(&text), &spec, err);
    buf_release(&text);
    return r ? r : supervise(dir, &spec, err);
}

int main(int argc, char **argv)
{
    struct err err;
    supervise_hold_signals();
    log_init("davit-shim", LOG_LEVEL_INFO);
    if (argc != 2) {
        fprintf(stderr, "usage: davit-shim DIR\n");
        return err_code_exit(ERR_USAGE);
    }
    setsid(); /* outlives whoever started it; fails where that has done so already */
    umask(022);
    if (chdir("/") == 0 && run(argv[1], &err) == 0)
        return 0;
    log_error("%s: %s", argv[1], err.msg);
    return err_code_exit(err.code);
}
