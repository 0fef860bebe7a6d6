/* The stop signal, with the effect it has on any process: the kernel spares the first process of a
 * pid namespace every signal it has no handler for, so that an app that never thought of SIGTERM
 * would sit out the whole grace period. */
#ifndef SHIM_STOP_H
#define SHIM_STOP_H

#include <stdbool.h>
#include <sys/types.h>

/* Sends `sig` to the app, whose first process is `pid`. If that one leaves the signal to its
 * default, which is to end, its descendants get it in its place (a shell ends when its command
 * does); if it has none it is killed. True: it was killed. */
bool stop_app(pid_t pid, int pidfd, const char *cgroup, int sig);

#endif
