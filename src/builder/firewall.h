/* Builds have the host's network, to reach registries, and it is theirs to reach nothing else of
 * this machine: no service on loopback or at the machine's own addresses, no instance, no metadata
 * address, but what the setting build_services names. They are told by their users, which are those
 * of images and no one else's on the host. Servers of a build's own on loopback are told by their
 * users too, whatever the ports; nobody else reaches those. UDP on loopback is DNS only: a datagram
 * is heard before any answer could tell by whom. */
#ifndef BUILDER_FIREWALL_H
#define BUILDER_FIREWALL_H

#include "model/config.h"

/* Sets the rules, anew if they are there. */
int firewall_set(const struct config *c, struct err *err);
int firewall_remove(const struct config *c, struct err *err);

/* Adds the addresses of a proxy or mirror, "127.0.0.1:3128" or "[::1]:3128", as its name resolves
 * now; none if the URL names no port. */
void firewall_addresses(const char *url, struct strv *ret);
/* The rules as nft reads them. `proxies`: such addresses, which stay reachable where they are this
 * machine's; what leaves the machine needs no rule. ERR_INVALID for what the setting build_services
 * can't mean. Pure. */
int firewall_rules(const struct config *c, const struct strv *proxies, struct buf *ret,
                   struct err *err);

#endif
