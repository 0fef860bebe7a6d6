#include "shim/stop.h"

#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>

#include "os/cgroup.h"
#include "os/file.h"

/* A mask of signals in /proc/PID/status: "SigCgt:\t0000000000004002". */
static bool in_mask(struct str status, const char *name, int sig)
{
    while (status.ptr) {
        struct str value = str_cut(&status, '\n'), key = str_cut(&value, ':');
        unsigned long long mask;
        if (str_eq(key, str_of(name)) && value.ptr && sscanf(value.ptr, "%llx", &mask) == 1)
            return mask & 1ULL << (sig - 1);
    }
    return false;
}

/* Whether the process does something else about it than ending. What can't be read is not guessed
 * at. */
static bool minds(pid_t pid, int sig)
{
    char path[32];
    _cleanup_(buf_release) struct buf status = BUF_CAP(65536);
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    return file_read(path, &status, NULL) < 0 || in_mask(buf_str(&status), "SigCgt", sig) ||
           in_mask(buf_str(&status), "SigIgn", sig);
}

static bool ends_by_default(int sig)
{
    return sig != SIGCHLD && sig != SIGCONT && sig != SIGURG && sig != SIGWINCH && sig != SIGSTOP &&
           sig != SIGTSTP && sig != SIGTTIN && sig != SIGTTOU;
}

/* The parent in our pid namespace; 0 if the process is gone. */
static pid_t parent_of(pid_t pid)
{
    char path[32];
    uint64_t parent = 0;
    _cleanup_(buf_release) struct buf status = BUF_CAP(65536);
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    file_read(path, &status, NULL);
    for (struct str rest = buf_str(&status); rest.len;) {
        struct str value = str_cut(&rest, '\n'), key = str_cut(&value, ':');
        if (str_eq(key, STR("PPid")))
            str_to_u64(str_trim(value), 0, INT32_MAX, &parent, NULL);
    }
    return (pid_t)parent;
}

/* Not a descendant: what crun brought in from outside, such as a health check by command. Who loses
 * its parent inside gets the first process for one. */
static bool descends_from(pid_t pid, void *ctx)
{
    const pid_t *app = ctx;
    do
        pid = parent_of(pid);
    while (pid > 1 && pid != *app);
    return pid == *app;
}

bool stop_app(pid_t pid, int pidfd, const char *cgroup, int sig)
{
    if (!ends_by_default(sig) || minds(pid, sig)) {
        pidfd_send_signal(pidfd, sig, NULL, 0);
        return false;
    }
    if (cgroup_signal(cgroup, sig, descends_from, &pid) > 0)
        return false;
    pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
    return true;
}
