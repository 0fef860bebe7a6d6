/* Who listens on a TCP port of this machine (of our network namespace). */
#ifndef OS_PORT_H
#define OS_PORT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct port_holder {
    uid_t uid;
    pid_t pid;     /* 0: not ours to see (another user's process, and we are not root) */
    char name[16]; /* of the program; "" if pid is 0 */
};

/* Finds the socket that keeps `address` ("127.0.0.1", "::1"; anything else: every address) from
 * being bound at `port`. False: there is none. */
bool port_holder(const char *address, int64_t port, struct port_holder *ret);
/* "nginx (pid 1234)" or "a program of user www-data"; the caller's. */
char *port_holder_text(const struct port_holder *h);

#endif
