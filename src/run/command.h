/* A program run for a health check, on the loop: its exit status, or a timeout. */
#ifndef RUN_COMMAND_H
#define RUN_COMMAND_H

#include <uv.h>

#include "base/err.h"

struct command;

enum { COMMAND_TIMED_OUT = -1 };

/* `done` is called once with the exit status (128+signal) or COMMAND_TIMED_OUT, after which the
 * command is gone; not after command_cancel. Its output goes nowhere. `cgroup`: where it starts,
 * and whatever is in there when it ends or its time is over ends with it; NULL: where we are. */
int command_start(uv_loop_t *loop, const char *const *argv, const char *cgroup, int64_t timeout_ms,
                  void (*done)(void *ctx, int status), void *ctx, struct command **ret,
                  struct err *err);
void command_cancel(struct command *c);

#endif
