/* One instance, from its first start to its end. */
#ifndef SHIM_SUPERVISOR_H
#define SHIM_SUPERVISOR_H

#include "pact/spec.h"

/* Keeps back the signals that supervise answers: from here on none is lost, and SIGTERM leaves
 * nothing half done. The first thing to do in the process. */
void supervise_hold_signals(void);
/* Supervises the instance of `dir`, whose lock the caller holds, until it is stopped for good.
 * Returns after the last status is written. Errors are those of setting up; a start that fails is
 * no error but a crash. Moves the process into namespaces of its own: once in a process. */
int supervise(const char *dir, const struct spec *spec, struct err *err);

#endif
