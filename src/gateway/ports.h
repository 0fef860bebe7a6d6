/* Whether the ports of the settings can be had, asked before a running HAProxy is told to take
 * them: a reload that fails has paused the old listeners for seconds. Private to the room. */
#ifndef GATEWAY_PORTS_H
#define GATEWAY_PORTS_H

#include "model/config.h"

/* ERR_UNAVAILABLE names the port somebody else has. With `share` those our own HAProxy holds are
 * fine: it listens with SO_REUSEPORT, and so do we, for a moment and without taking a connection.
 */
int ports_check(const struct config *c, bool share, struct err *err);
/* Before an HAProxy is started: all of them must be free, or it would share one with that of
 * another Davit, which is the same user's. A worker that has just lost its master gets a moment to
 * go. */
int ports_await(const struct config *c, struct err *err);
/* The error of a port that is taken, with what to do about it. */
int port_taken(struct err *err, const char *message);

#endif
