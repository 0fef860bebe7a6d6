/* What to do next with one app's instances on this machine, from its rollouts and what is. Pure: no
 * clock, no files, no globals.
 *
 * A rollout's instances are started beside what runs. Once all it asks for are ready, what another
 * generation of it left running goes; what belongs to a release without a rollout goes at once. In
 * a rollout that is starting, an instance that exits three times, can't be started three times,
 * does not get ready in time, or listens where nobody can reach it is a failure: it is reported,
 * and everything stays as it is until `release` has said what follows. Instances of a live rollout
 * are never given up: they are tried again. Which release has a rollout is `release`'s business. */
#ifndef RUN_PLAN_H
#define RUN_PLAN_H

#include "model/rollout.h"
#include "pact/status.h"

enum {
    STARTS_AT_ONCE = 8,     /* instances that boot at the same time, all apps together */
    BOOTING_MS = 10 * 1000, /* … who takes longer than this makes room for others */
    REASON_MAX = 512,
    RETRY_MAX_MS = 60 * 1000, /* between attempts to start an instance of a live release */
};

/* What the probes found out about the process that runs now. */
enum probe_state {
    PROBE_NONE,    /* none is running */
    PROBE_WAITING, /* not ready yet */
    PROBE_READY,
    PROBE_FAILING, /* was ready, its readiness checks fail now */
    PROBE_STUCK,   /* not ready and, as things are, it never will be */
    PROBE_DEAD,    /* its liveness checks fail */
};

/* One instance as it is. Texts are borrowed. */
struct unit {
    const char *type, *id;
    int64_t release, generation, index;
    uint16_t host;     /* its address; 0: we were killed before it was written anywhere */
    bool recorded;     /* the store has a record of it; the next three are from there */
    int state;         /* enum instance_state */
    int64_t since;     /* when it got into that state */
    int64_t seen_pid;  /* the pid in the record */
    int64_t made;      /* when it was first started */
    bool alive;        /* a shim holds its lock, or was just started */
    bool told_to_stop; /* its shim has had its SIGTERM */
    enum shim_state shim;
    int64_t pid, restarts;
    int64_t exit;              /* of the last exit; -1: never exited */
    const char *reason;        /* the shim's; may be NULL */
    enum probe_state probe;    /* of `pid` */
    const char *probe_reason;  /* "did not listen on port 5000"; may be NULL */
    int64_t kicked_pid;        /* the process that was already told to restart */
    int attempts;              /* to start it since it was last ready */
    int64_t attempted;         /* when the last one was */
    const char *attempt_error; /* why it failed; NULL if it did not */
};

/* Times are time_mono_ms() unless they say otherwise. */
struct plan_input {
    const char *app;
    bool gone; /* the app was destroyed */
    const struct rollout_seen *rollouts;
    size_t n_rollouts; /* by number */
    const struct unit *units;
    size_t n_units;
    int64_t now;
    int64_t boot_ms, drain_ms;
};

/* What all apps share; plan takes from it. */
struct plan_pool {
    uint8_t used[65536 / 8]; /* addresses of the network that are taken, by their low 16 bits */
    uint16_t next;           /* where to look for a free one: old ones are used again late */
    int starts;              /* instances that may be started now */
};

void pool_take(struct plan_pool *p, uint16_t host);

enum action_type {
    ACT_START,  /* folders, spec, shim; of a unit that exists or a new one */
    ACT_STOP,   /* SIGTERM to the shim */
    ACT_KICK,   /* SIGUSR1 to the shim: it restarts the app */
    ACT_REMOVE, /* folders and record */
};

struct action {
    enum action_type type;
    int unit; /* index into units; -1: a new one */
    const char *process;
    int64_t release, generation, index;
    uint16_t host;           /* ACT_START: its address */
    char reason[REASON_MAX]; /* ACT_KICK */
};

struct plan {
    struct action *actions;
    size_t n;
    int *next;                     /* a state for every unit: its record says that from now on */
    struct rollout_status *status; /* for every rollout, without log lines of a new failure */
    int *failed;                   /* for every rollout: the unit that fails it now; -1: none */
    size_t n_rollouts;
    bool crowded; /* something has to wait until fewer boot */
    int64_t wake; /* plan again at the latest then; 0: only when something changes */
};

void plan_release_contents(struct plan *p);
/* *ret is zeroed by the caller and released by plan_release_contents. */
void plan_app(const struct plan_input *in, struct plan_pool *pool, struct plan *ret);

#endif
