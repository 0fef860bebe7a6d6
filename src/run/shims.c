#include "run/shims.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/pidfd.h>

#include "model/config.h"

void shim_status_release(struct shim_status *s)
{
    free(s->reason);
    *s = (struct shim_status){.exit = -1};
}

static enum shim_state state_of(struct str name)
{
    static const char *const names[] = {
        [SHIM_NONE] = "",           [SHIM_STARTING] = "starting", [SHIM_RUNNING] = "running",
        [SHIM_CRASHED] = "crashed", [SHIM_STOPPING] = "stopping", [SHIM_STOPPED] = "stopped"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq(name, str_of(names[i])))
            return (enum shim_state)i;
    return SHIM_NONE;
}

void shim_status_parse(struct str text, struct shim_status *ret)
{
    *ret = (struct shim_status){.exit = -1};
    while (text.ptr) {
        struct str value = str_cut(&text, '\n');
        struct str name = str_cut(&value, ' ');
        uint64_t n = 0;
        str_to_u64(value, 0, INT64_MAX, &n, NULL);
        if (str_eq(name, STR("state")))
            ret->state = state_of(value);
        else if (str_eq(name, STR("pid")))
            ret->pid = (int64_t)n;
        else if (str_eq(name, STR("started")))
            ret->started = (int64_t)n;
        else if (str_eq(name, STR("restarts")))
            ret->restarts = (int64_t)n;
        else if (str_eq(name, STR("exit")))
            ret->exit = (int64_t)n;
        else if (str_eq(name, STR("reason")) && value.len && !ret->reason)
            ret->reason = xstrndup(value.ptr, value.len);
    }
}

/* Whom the lock file names, if the lock is held. */
static pid_t lock_holder(const char *run_dir)
{
    _cleanup_free_ char *path = path_join(run_dir, "lock");
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    char text[16] = {0};
    uint64_t pid;
    if (fd < 0 || flock(fd, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK ||
        read(fd, text, sizeof(text) - 1) <= 0 ||
        str_to_u64(str_trim(str_of(text)), 1, INT32_MAX, &pid, NULL) < 0)
        return 0;
    return (pid_t)pid;
}

/* The lock is looked at again after the pidfd was opened: the pid can't have passed to another. */
pid_t shim_find(const char *run_dir, int *ret_pidfd)
{
    pid_t pid = lock_holder(run_dir);
    _cleanup_close_ int pidfd = pid ? pidfd_open(pid, 0) : -1;
    if (pidfd < 0 || lock_holder(run_dir) != pid)
        return 0;
    *ret_pidfd = TAKE_FD(pidfd);
    return pid;
}
