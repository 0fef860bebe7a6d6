/* What to do next for one app, from what should be and what is. Pure: no clock, no files, no
 * globals.
 *
 * The release that is wanted is the desired one, unless it failed or was overtaken: then the newest
 * live one. Its instances are started beside what runs; once all of them (of every type) are ready
 * it becomes live and everything else goes. A restart (a new generation) is the same change within
 * one release. A release that is not live yet fails when one of its instances exits three times,
 * can't be started three times, does not get ready in time, or listens where nobody can reach it;
 * its instances go and the live one goes on as if nothing had been. Instances of a live release
 * are never given up: they are tried again. */
#ifndef RUN_PLAN_H
#define RUN_PLAN_H

#include "model/current.h"
#include "pact/status.h"

enum {
    BOOT_EXITS = 3,         /* exits before getting ready that fail a release */
    START_ATTEMPTS = 3,     /* the same for a shim that can't start it */
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
    const struct desired *desired; /* NULL: the app is gone */
    const struct release_seen *releases;
    size_t n_releases; /* by number */
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
    ACT_START,   /* folders, spec, shim; of a unit that exists or a new one */
    ACT_STOP,    /* SIGTERM to the shim */
    ACT_KICK,    /* SIGUSR1 to the shim: it restarts the app */
    ACT_REMOVE,  /* folders and record */
    ACT_RELEASE, /* status of a release */
};

struct action {
    enum action_type type;
    int unit; /* index into units; -1: a new one */
    const char *process;
    int64_t release, generation, index;
    uint16_t host;           /* ACT_START: its address */
    int state;               /* ACT_RELEASE: enum release_state */
    char reason[REASON_MAX]; /* ACT_RELEASE failed, ACT_KICK */
};

struct plan {
    struct action *actions;
    size_t n, size;
    int *next;    /* a state for every unit: its record says that from now on */
    int64_t wake; /* plan again at the latest then; 0: only when something changes */
};

void plan_release_contents(struct plan *p);
/* *ret is zeroed by the caller and released by plan_release_contents. */
void plan_app(const struct plan_input *in, struct plan_pool *pool, struct plan *ret);

/* How many instances of a type should run. */
int64_t plan_quantity(const struct desired *d, const struct process *p);

#endif
