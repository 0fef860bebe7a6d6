/* What a shim shows of itself in its folder: the status file and the lock. */
#ifndef RUN_SHIMS_H
#define RUN_SHIMS_H

#include <sys/types.h>

#include "base/str.h"
#include "run/plan.h"

struct shim_status {
    enum shim_state state;
    int64_t pid, started, restarts; /* started: µs wall */
    int64_t exit;                   /* -1: never exited */
    char *reason;                   /* NULL: nothing to say */
};

void shim_status_release(struct shim_status *s);
/* Anything is taken: what isn't known or isn't there stays at its default. */
void shim_status_parse(struct str text, struct shim_status *ret);

/* The shim that holds the lock of an instance's folder: its pid, and a pidfd that is the caller's.
 * 0: none does. */
pid_t shim_find(const char *run_dir, int *ret_pidfd);

#endif
