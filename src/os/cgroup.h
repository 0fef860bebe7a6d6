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

/* What an OCI config.json has to say in cpu.shares for this weight (1–10000, 100 is the ordinary
 * one): crun takes shares of version 1 and turns them into a weight on version 2. */
int64_t cgroup_cpu_shares(int64_t weight);
/* Whether the kernel accounts for swap: without, naming a limit for it is an error. */
bool cgroup_limits_swap(void);

/* crun 1.8 refuses hosts where version 1 is in use and /sys/fs/cgroup/unified holds controllers of
 * version 2. This hides that one mount, in the mount namespace we are in: one of our own
 * (namespace_mounts). On other hosts there is nothing to do. */
int cgroup_hide_hybrid(struct err *err);

/* Makes the coming moves of processes into groups quicker. The first move after a while waits in
 * the kernel for a grace period of RCU, 10 to 30 ms; those after it don't. This has a child wait
 * for it (by moving itself to where it is), which ends by itself and is the caller's to reap. */
void cgroup_warm_up(void);

#endif
