/* Network interfaces, by rtnetlink without a library. A netlink descriptor belongs to the network
 * namespace it was opened in, wherever its owner goes after. Not for two threads at once.
 * Errors carry the kernel's own words where it has some. */
#ifndef OS_NETLINK_H
#define OS_NETLINK_H

#include <netinet/in.h>
#include <stdbool.h>

#include "base/err.h"

struct netlink_address {
    struct in_addr ip;
    unsigned prefix; /* bits of the network, 0–32 */
};

/* "10.1.2.3/16"; without a slash the prefix is 32. */
int netlink_parse_address(const char *text, struct netlink_address *ret, struct err *err);

int netlink_open(int *ret, struct err *err);

/* Makes sure that there is a bridge `name`, up, with this address. Its hardware address is derived
 * from the name, so that it doesn't change as ports come and go. */
int netlink_bridge(int nl, const char *name, struct netlink_address address, struct err *err);

/* A pair of interfaces: `host` in the namespace of `nl`, up, a port of the bridge; `peer` in the
 * namespace of the descriptor `netns`, down until it is configured. The peer's hardware address is
 * derived from `ip`: who gets an address after another is reached at once, whatever the neighbours
 * have cached. There is already a `host`: ERR_EXISTS. */
struct netlink_veth {
    const char *host, *bridge, *peer;
    int netns;
    struct in_addr ip;
};
int netlink_veth(int nl, const struct netlink_veth *v, struct err *err);

/* In the namespace of `nl`: lo up; unless `link` is NULL, it up with the address, and the default
 * route through it unless `gateway` is 0.0.0.0. */
int netlink_configure(int nl, const char *link, struct netlink_address address,
                      struct in_addr gateway, struct err *err);

/* The networks that something of this machine has a route to, in any table, other than through
 * `except`; default routes aside. Appended to *ret, an array (base/array.h) of *ret_n that is the
 * caller's to free. */
int netlink_routes(int nl, const char *except, struct netlink_address **ret, size_t *ret_n,
                   struct err *err);

/* Removes the interface (a veth with its peer); one that isn't there is fine. */
int netlink_remove(int nl, const char *name, struct err *err);
bool netlink_exists(int nl, const char *name);

#endif
