/* What others know of davit-init, the first process of an instance.
 *
 * It starts the app as its child, hands signals on to it, collects whoever loses its parent, and
 * ends with the app's status: 0–255, 128+signal if a signal ended it, 127 if there is no such
 * program, 126 if that can't be executed (and a line on stderr that says so). */
#ifndef INIT_INIT_H
#define INIT_INIT_H

/* Where it is in each instance's root; no image has anything there. */
#define INIT_PATH "/.davit-init"

/* A status doesn't tell a signal from an app that ends with 128+n by itself; the name that the
 * process has in the end (/proc/PID/comm, until it is reaped) does. */
#define INIT_KILLED "app killed"       /* by a signal: status - 128 */
#define INIT_NOT_STARTED "app not run" /* the status and the last line of output say why */

#endif
