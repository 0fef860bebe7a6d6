/* Who listens on what in an instance's network namespace, asked of the kernel (sock_diag(7)): no
 * connection is made, so nothing shows up in the app's log, and it tells apart "not yet", "on
 * another port" and "on loopback only". /proc/PID/net/tcp would say the same, but walks the table
 * of all the machine's connections for it: milliseconds instead of microseconds. */
#ifndef RUN_LISTEN_H
#define RUN_LISTEN_H

#include <linux/inet_diag.h>
#include <sys/types.h>

#include "base/str.h"

struct listeners {
    bool reachable;      /* the port, on an address others reach */
    bool loopback;       /* the port, on 127.0.0.1 or ::1 */
    uint16_t other_port; /* another port on an address others reach; 0: none */
};

/* Adds one socket. address: our own, in network byte order. */
void listen_add(const struct inet_diag_msg *socket, uint16_t port, uint32_t address,
                struct listeners *ret);

/* A descriptor to ask about the network namespace of `pid` by; it stays with that namespace. Only
 * the calling thread visits it. */
int listen_open(pid_t pid, int *ret, struct err *err);
int listen_look(int fd, uint16_t port, uint32_t address, struct listeners *ret, struct err *err);

#endif
