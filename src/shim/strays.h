/* Processes of a crun that was killed while it started a container: it works in children of its
 * own, which aren't in the container's cgroup yet and would go on. */
#ifndef SHIM_STRAYS_H
#define SHIM_STRAYS_H

#include "base/err.h"

/* Kills all processes with this argument on their command line, and waits until there are none. */
int strays_kill(const char *argument, struct err *err);

#endif
