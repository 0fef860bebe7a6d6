/* Watches one process of an instance become ready and stay well, by its checks (app.json's and
 * Docker's HEALTHCHECK alike).
 *
 * Before it is ready: every startup and readiness check must have passed once. A `web` process must
 * always listen on its port as well; another one without checks must have run for a second. Checks
 * are tried often at first (the port after 1 ms, then at 1/32 of the time passed, at most every 50
 * ms), since a deploy waits for them. After that, readiness and liveness checks go on every `wait`
 * seconds; `attempts` failures in a row make it PROBE_FAILING or PROBE_DEAD.
 *
 * Commands run inside the instance through crun, by way of its shim's mount namespace, as whom and
 * with what the app runs. */
#ifndef RUN_PROBE_H
#define RUN_PROBE_H

#include <uv.h>

#include "model/nouns.h"
#include "run/plan.h"

enum {
    PROBE_UPTIME_MS = 1000,    /* what a process without checks must have run */
    PROBE_STUCK_MS = 8 * 1000, /* listening at the wrong place for so long is a decision */
    PROBE_EAGER_MAX_MS = 50,   /* between looks at the port */
    PROBE_RETRY_MAX_MS = 500,  /* between tries of other checks before it is ready */
    PROBE_ATTEMPTS = 3,        /* where the check doesn't say */
    PROBE_WAIT_S = 5,
    PROBE_TIMEOUT_S = 5,
};

struct probe_target {
    pid_t pid;             /* of the app, in our pid namespace */
    pid_t shim;            /* its supervisor */
    const char *run_dir;   /* of the instance, with its config.json */
    const char *container; /* for crun */
    const char *crun_root;
    const char *cgroup;            /* where its commands run; NULL: where we do */
    const char *address;           /* of the instance */
    const struct process *process; /* copied */
    int64_t running_ms;            /* how long it has been running already */
};

struct probe;

/* `changed` is called from the loop whenever state or reason differ from before. */
struct probe *probe_start(uv_loop_t *loop, const struct probe_target *t, void (*changed)(void *ctx),
                          void *ctx);
void probe_stop(struct probe *p);
DEFINE_CLEANUP(struct probe *, probe_stop)

enum probe_state probe_state(const struct probe *p);
/* Why it is not ready, as a predicate: "did not listen on port 5000"; "" if there is nothing to
 * say. */
const char *probe_reason(const struct probe *p);

#endif
