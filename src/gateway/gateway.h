/* The gateway: hosts and instances → HAProxy. See ARCHITECTURE.md for what it reads and writes. */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include "model/config.h"

/* The operator: runs until SIGTERM; HAProxy goes on without it. Returns the exit status. Needs
 * run/, state/ and log/ to be writable for the user it runs as. */
int gateway_main(const struct config *c);
/* Ends this root's HAProxy. None running is fine. */
int gateway_teardown(const struct config *c, struct err *err);

#endif
