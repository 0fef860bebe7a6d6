/* Builds have the host's network, to reach registries, and it is theirs to reach nothing else of
 * this machine: no service on loopback, no instance, no metadata address. They are told by their
 * users, which are those of images and no one else's on the host. */
#ifndef BUILD_FIREWALL_H
#define BUILD_FIREWALL_H

#include "model/config.h"

/* Sets the rules, anew if they are there. */
int firewall_set(const struct config *c, struct err *err);
int firewall_remove(const struct config *c, struct err *err);

/* The rules as nft reads them. `proxies`: URLs of proxies and mirrors whose ports
 * stay reachable. Pure. */
void firewall_rules(const struct config *c, const struct strv *proxies, struct buf *ret);

#endif
