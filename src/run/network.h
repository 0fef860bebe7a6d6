/* The instances' network: a bridge with a /16 of its own, the way out by masquerading (also past
 * the firewalls of others), and an nftables table that keeps instances off the host, off link-local
 * metadata addresses, and off other Davits. All names derive from the configuration, so that
 * several roots share a machine. */
#ifndef RUN_NETWORK_H
#define RUN_NETWORK_H

#include "model/config.h"
#include "os/netlink.h"

struct network {
    const char *bridge; /* the configuration's */
    uint32_t base;      /* 10.210.0.0 in host byte order; .0.1 is the bridge */
};

enum { NETWORK_PREFIX = 16, NETWORK_TEXT = 16 };

/* Makes the bridge and the rules, or checks that they are there. If another interface or a route
 * (a VPN's) uses the configured network the next free one is taken, and kept while the bridge is
 * there. Needs root. */
int network_ensure(const struct config *c, struct network *ret, struct err *err);
/* Makes the rules again if somebody removed them, and opens the way out where somebody closed it
 * (run/wayout.h). Waits for a few programs; any thread. */
int network_repair(const struct network *n, struct err *err);
/* Removes all of it; what isn't there is fine. */
int network_remove(const struct config *c, struct err *err);

/* "10.210.3.7" */
void network_address(const struct network *n, uint16_t host, char ret[NETWORK_TEXT]);
/* The low 16 bits of an address text; 0 if it isn't one. */
uint16_t network_host(const char *address);
/* The name of an instance's interface on the host, unique on the machine; at most 15 bytes. */
char *network_hostif(const struct network *n, uint16_t host);

/* The wish, or the first private network after it that has nothing in common with those in use; if
 * there is none, one that only wider ones cover. 0: there is none. Pure; host byte order. */
uint32_t network_choose(uint32_t wish, const struct netlink_address *used, size_t n);

/* The rules as `nft -f -` takes them: replaces the whole table in one transaction. */
void network_rules(const struct network *n, struct buf *ret);

#endif
