/* The instances on this machine as they are: their folders, shims and status files, watched by
 * inotify and pidfds. Knows nothing of what should be. */
#ifndef RUN_FLEET_H
#define RUN_FLEET_H

#include <uv.h>

#include "model/config.h"
#include "pact/status.h"
#include "run/plan.h"
#include "run/probe.h"
#include "run/shims.h"

struct fleet;
struct minder;

/* One instance. What is below the blank line is run's own memory of it. */
struct member {
    struct fleet *fleet;
    char *name, *app, *type, *id;
    int64_t release, generation, index;
    uint16_t host; /* address; 0: not known */
    char *run_dir, *disk;
    int watch;           /* inotify's; -1: none */
    struct minder *shim; /* NULL: no shim runs */
    pid_t shim_pid;
    struct status status;
    int64_t made; /* mono ms of its first start */

    int state_seen; /* of the record; -1: none yet */
    int64_t since;  /* mono ms of it */
    int64_t pid_seen;
    bool told_to_stop, keeps_lines; /* the latter: its last lines may be on disk */
    int64_t kicked_pid;
    int attempts;
    int64_t attempted;
    char *attempt_error;
    struct probe *probe; /* of probe_pid */
    int64_t probe_pid;
};

/* "v3.g0.1" taken apart; false if it isn't an instance's id. */
bool instance_id_parse(const char *id, int64_t *ret_release, int64_t *ret_generation,
                       int64_t *ret_index);
char *instance_id(int64_t release, int64_t generation, int64_t index);

/* `changed` is called from the loop whenever a member of an app differs from before, or (NULL)
 * something else does. A fleet is never freed:
 * its handles end with the loop, the loop with the process, and what runs goes on. */
int fleet_new(uv_loop_t *loop, const struct config *c, void (*changed)(void *ctx, const char *app),
              void *ctx, struct fleet **ret, struct err *err);
/* Takes over what runs already: every folder with an instance's name. */
int fleet_adopt(struct fleet *f, struct err *err);

/* Removes writable layers that are nobody's. For once, when every member is known. */
void fleet_sweep(struct fleet *f);

/* Whether something of the app's instances may still be there: one of them, or what they left to be
 * removed. */
bool fleet_has(const struct fleet *f, const char *app);

size_t fleet_size(const struct fleet *f);
struct member *fleet_at(const struct fleet *f, size_t i); /* in the order of names */
/* An app's are one behind the other: *ret_n of them from the index that is returned. */
size_t fleet_of(const struct fleet *f, const char *app, size_t *ret_n);
struct member *fleet_find(const struct fleet *f, const char *app, const char *type, const char *id);
/* A new one, of which nothing exists yet; NULL if `id` isn't an instance's. */
struct member *fleet_add(struct fleet *f, const char *app, const char *type, const char *id);
/* Forgets it: `m` is gone. Its folders are moved aside at once and removed by a worker. */
void fleet_remove(struct fleet *f, struct member *m);

/* Empties the member's folders (made if missing) for a fresh start and watches its status. */
int member_prepare(struct member *m, struct err *err);
/* Starts davit-shim on its folder; it outlives us. */
int member_launch(struct member *m, struct err *err);
/* Calls `changed` for it. */
void member_changed(void *member);
/* Sends a signal to the shim that holds the lock; never to anybody else. */
void member_signal(struct member *m, int sig);
bool member_alive(const struct member *m);

#endif
