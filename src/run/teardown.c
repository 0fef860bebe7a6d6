#include "run/run.h"

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>

#include "base/array.h"
#include "base/log.h"
#include "base/time.h"
#include "os/cgroup.h"
#include "os/file.h"
#include "run/network.h"
#include "run/shims.h"

enum { TEARDOWN_MARGIN_MS = 5000 }; /* what a shim gets beyond the grace period */

/* A shim on its way out. */
struct ending {
    int pidfd;
    char *dir;
};

static void stop_shim(const char *dir, struct ending *ret)
{
    int pidfd = -1;
    if (shim_find(dir, &pidfd))
        pidfd_send_signal(pidfd, SIGTERM, NULL, 0);
    *ret = (struct ending){.pidfd = pidfd, .dir = xstrdup(dir)};
}

static size_t stop_all(const char *path, struct ending **ret)
{
    struct ending *all = NULL;
    size_t n = 0;
    DIR *dir = opendir(path);
    struct dirent *e;
    while (dir && (e = readdir(dir))) {
        if (e->d_name[0] == '.')
            continue;
        _cleanup_free_ char *instance = path_join(path, "%s", e->d_name);
        stop_shim(instance, array_add(all, n));
    }
    if (dir)
        closedir(dir);
    *ret = all;
    return n;
}

/* Waits for its end; past the deadline it is killed, and what it ran dies with it. */
static void await(const struct ending *e, int64_t deadline)
{
    struct pollfd p = {.fd = e->pidfd, .events = POLLIN};
    int64_t left = deadline - time_mono_ms();
    if (e->pidfd >= 0 && poll(&p, 1, (int)MAX(left, (int64_t)0)) == 0) {
        log_warning("%s did not end in time: killed", e->dir);
        pidfd_send_signal(e->pidfd, SIGKILL, NULL, 0);
        poll(&p, 1, TEARDOWN_MARGIN_MS);
    }
}

/* What a killed shim left running is in the cgroup of all instances. */
static int clear_cgroup(const struct config *c, struct err *err)
{
    int r = cgroup_kill(c->bridge, TEARDOWN_MARGIN_MS, err);
    return r < 0 ? r : cgroup_remove(c->bridge, err);
}

int run_teardown(const struct config *c, struct err *err)
{
    _cleanup_free_ char *path = path_join(c->run, "instances");
    _cleanup_free_ char *crun = path_join(c->run, "crun");
    struct ending *all;
    size_t n = stop_all(path, &all);
    int64_t deadline = time_mono_ms() + c->stop_grace * 1000 + TEARDOWN_MARGIN_MS;
    int r = 0;
    for (size_t i = 0; i < n; i++) {
        await(&all[i], deadline);
        if (!r)
            r = dir_remove(all[i].dir, err);
        closep(&all[i].pidfd);
        free(all[i].dir);
    }
    free(all);
    if (r < 0 || (r = clear_cgroup(c, err)) < 0 || (r = dir_remove(crun, err)) < 0)
        return err_wrap(err, "stopping the instances");
    r = network_remove(c, err);
    return r < 0 ? err_wrap(err, "removing the instances' network") : 0;
}
