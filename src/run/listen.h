/* Who listens on what in an instance's network namespace, read from /proc/PID/net/tcp{,6}: no
 * connection is made, so nothing shows up in the app's log, and it tells apart "not yet", "on
 * another port" and "on loopback only". */
#ifndef RUN_LISTEN_H
#define RUN_LISTEN_H

#include <sys/types.h>

#include "base/str.h"

struct listeners {
    bool reachable;      /* the port, on an address others reach */
    bool loopback;       /* the port, on 127.0.0.1 or ::1 */
    uint16_t other_port; /* another port on an address others reach; 0: none */
};

/* Adds what one of the two files says. address: our own, in network byte order. */
void listen_scan(struct str table, uint16_t port, uint32_t address, struct listeners *ret);
/* Reads both; a process that is gone listens on nothing. */
void listen_look(pid_t pid, uint16_t port, uint32_t address, struct listeners *ret);

#endif
