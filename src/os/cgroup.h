/* Control groups by their path below the root ("davit/shop.web.1"), on hosts with version 1,
 * version 2 or a mix of both: each function does it in every hierarchy where the group exists. */
#ifndef OS_CGROUP_H
#define OS_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/str.h"

/* Whether the group exists in any hierarchy. */
bool cgroup_exists(const char *path);
/* Kills every process in the group and in those below it, with SIGKILL, and waits until it is
 * empty, at most `timeout_ms` (ERR_TIMEOUT). A group that doesn't exist is fine. */
int cgroup_kill(const char *path, unsigned timeout_ms, struct err *err);
/* Sends `sig` to those processes in the group and in those below it that `whom` says yes to;
 * returns to how many. */
size_t cgroup_signal(const char *path, int sig, bool (*whom)(pid_t pid, void *ctx), void *ctx);
/* Removes the group and those below it; they must be empty. One that doesn't exist is fine. */
int cgroup_remove(const char *path, struct err *err);
/* The names of the groups in it, each once; appends to *ret. */
void cgroup_children(const char *path, struct strv *ret);
/* How many of the group's processes the kernel killed for want of memory; 0 if that isn't known. */
uint64_t cgroup_oom_kills(const char *path);

struct cgroup_memory {
    uint64_t used;   /* bytes */
    uint64_t needed; /* the same without what the kernel can take back: the cache of files */
};
/* All 0 if it isn't known. */
struct cgroup_memory cgroup_memory(const char *path);
/* A descriptor that polls readable (version 1) or has POLLPRI (version 2) when the group comes to
 * its limit of memory, or to `mark` bytes where the kernel can tell that. To be read for the next
 * time. */
int cgroup_watch_memory(const char *path, uint64_t mark, int *ret, struct err *err);

/* What the processes of a group may use together; 0 is no limit. */
struct cgroup_limits {
    int64_t memory; /* bytes, swap included where the kernel accounts for it */
    int64_t pids;
    int64_t cpu_weight; /* 1–10000; 100 is the ordinary one */
};

/* Makes the group and those above it; one that exists gets the limits. ERR_UNAVAILABLE where the
 * kernel has no controller for one of them. */
int cgroup_make(const char *path, const struct cgroup_limits *l, struct err *err);

/* Makes a group in one that exists, within the same limits; there may be one already.
 * ERR_NOT_FOUND: the group above doesn't exist. */
int cgroup_make_below(const char *path, const char *name, struct err *err);

/* The way into a group for a new process. A process that runs is moved under a lock over all forks
 * of the machine, whose first taker after a while waits for a grace period of RCU, 10 to 30 ms. One
 * that is born in the group (version 2) or takes itself there as long as it is a single thread
 * (version 1) needs no lock. */
struct cgroup_gate {
    int fds[3];
    unsigned n;
    bool unified; /* version 2 */
};
int cgroup_open(const char *path, struct cgroup_gate *ret, struct err *err);
void cgroup_close(struct cgroup_gate *g);
/* Both are like fork; the child calls cgroup_enter first of all, only then is it in the group.
 * cgroup_clone's child may do only what is async-signal-safe, as in version 2 it is born past libc:
 * a lock of malloc that another thread held is never given back in it. */
pid_t cgroup_fork(const struct cgroup_gate *g);
pid_t cgroup_clone(const struct cgroup_gate *g);
/* 0, or -1 with errno. Async-signal-safe. */
int cgroup_enter(const struct cgroup_gate *g);

/* crun 1.8 refuses hosts where version 1 is in use and /sys/fs/cgroup/unified holds controllers of
 * version 2. This hides that one mount, in the mount namespace we are in: one of our own
 * (namespace_mounts). On other hosts there is nothing to do. */
int cgroup_hide_hybrid(struct err *err);

#endif
