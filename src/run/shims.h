/* What a shim shows of itself in its folder: its lock. */
#ifndef RUN_SHIMS_H
#define RUN_SHIMS_H

#include <sys/types.h>

/* The shim that holds the lock of an instance's folder: its pid, and a pidfd that is the caller's.
 * 0: none does. */
pid_t shim_find(const char *run_dir, int *ret_pidfd);

#endif
