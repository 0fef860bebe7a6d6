#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>

#include "daemon/daemon.h"
#include "os/file.h"

enum { STOP_WAIT_MS = 30000 };

static int stop_daemon(const struct config *c, struct err *err)
{
    pid_t pid = root_holder(c, "davitd");
    if (!pid)
        return 0;
    _cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0 || root_holder(c, "davitd") != pid)
        return 0; /* ended just now */
    if (syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0) < 0 && errno != ESRCH)
        return err_errno(err, "stopping davitd, process %d", (int)pid);
    struct pollfd p = {fd, POLLIN, 0};
    if (poll(&p, 1, STOP_WAIT_MS) != 1)
        return err_set(err, ERR_TIMEOUT, "davitd, process %d, doesn't stop", (int)pid);
    return 0;
}

int teardown(const struct config *c, struct err *err)
{
    int r = stop_daemon(c, err);
    if (r < 0)
        return r;
    /* What can be stopped is, whatever can't: the first error is told. */
    for (size_t i = 0; operators[i]; i++) {
        struct err e;
        int s = operators[i]->teardown ? operators[i]->teardown(c, &e) : 0;
        if (s < 0 && r == 0) {
            r = s;
            *err = e;
        }
    }
    return r < 0 ? r : dir_remove(c->run, err);
}
