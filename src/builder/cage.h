/* A cage: mount and process namespaces of its own around one program of the host (crun, buildah).
 * Whatever is mounted or started inside is gone with it, and it is gone when we are: nothing of a
 * build outlives the build, after kill -9 too. */
#ifndef BUILDER_CAGE_H
#define BUILDER_CAGE_H

#include <sys/types.h>

#include "builder/output.h"

/* Tells long work to stop: *flag becomes true and fd readable. */
struct cancel {
    int fd;
    const volatile bool *flag;
};

struct cage {
    const char *const *argv; /* argv[0] is looked up on the PATH */
    const char *const *env;  /* NULL inherits ours */
    const char *cgroup;      /* the group that all of it runs in; NULL: ours */
    uid_t out_owner;         /* whose its stdout is, so that /dev/stdout can be opened by name */
    /* Makes the mounts it needs, in the new namespace, in a child of ours; may be NULL. */
    int (*prepare)(void *ctx, struct err *err);
    void *ctx;
    int64_t timeout_s;
    const struct cancel *cancel; /* or NULL */
};

/* 0, or ERR_CANCELLED. */
int cancel_check(const struct cancel *c, struct err *err);

/* Runs it to its end; every line it writes goes to `out`. *ret_status is its exit status, 0–255 or
 * 128+signal. ERR_CANCELLED and ERR_TIMEOUT, with everything inside killed; others when it could
 * not be run. */
int cage_run(const struct cage *c, struct output *out, int *ret_status, struct err *err);

#endif
