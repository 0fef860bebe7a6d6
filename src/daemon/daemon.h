/* davitd: one small parent process, and each operator of this machine as a child of it.
 *
 * The parent opens nothing but its lock and its log: no store, no event loop, no threads. A child
 * is `davitd --root DIR NAME`, an operator started afresh from the binary that lies on disk; its
 * stderr is a pipe the parent reads and keeps as davitd.log. What an operator leaves running
 * (shims, HAProxy) must therefore not inherit stderr. Children die with the parent, what they
 * left running does not. */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "operator/descriptor.h"

extern const struct operator_desc *const operators[]; /* NULL-terminated */
/* NULL: there is none of this name. */
const struct operator_desc *operator_named(const char *name);
const struct command *operator_command(const char *name);

/* Settings of this root; a missing davit.conf means all defaults. `root` is "" or any existing
 * folder. */
int settings_load(const char *root, struct config *ret, struct err *err);

/* Makes the folders of davitd and of every operator with owner and mode; safe to repeat. */
int folders_make(const struct config *c, struct err *err);

/* The user of the settings. */
struct account {
    uid_t uid;
    gid_t gid;
};
int account_find(const struct config *c, struct account *ret, struct err *err);
/* Becomes that user with its groups and nothing but these capabilities (CAP_TO_MASK), which
 * programs it starts keep. Does nothing if we are not root. */
int account_become(const struct config *c, uint64_t capabilities, struct err *err);

/* Takes the lock of `name` ("davitd", or an operator's) in this root, waiting at most wait_ms for a
 * holder that is about to end. It is held until the process ends. ERR_EXISTS names the holder. */
int root_lock(const struct config *c, const char *name, int64_t wait_ms, struct err *err);
/* The process that holds it; 0: nobody. */
pid_t root_holder(const struct config *c, const char *name);

/* How long to wait before a child that ran for `ran_ms` is started again, given the wait before:
 * 100 ms doubling to 10 s; one that ran for a minute starts over. */
int64_t backoff_next(int64_t before_ms, int64_t ran_ms);

/* The parent, until it is told to stop. `program` is the absolute path of davitd. Unless in the
 * foreground, it goes on in a new process and the one that called exits when all is started. */
int parent_run(const struct config *c, const char *program, bool foreground, struct err *err);

/* Stops everything that belongs to this root: davitd, instances, HAProxy, bridge, tables. Data
 * stays. */
int teardown(const struct config *c, struct err *err);

#endif
