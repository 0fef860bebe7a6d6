/* The way out past firewalls that others put up on this machine. A packet passes only if every
 * table lets it: what our own accepts is still dropped where Docker, ufw or firewalld refuse what
 * they don't know. So the bridge is made known to them, in the places they have for that:
 *
 * - iptables (by nft): chains FORWARD and DOCKER-USER of the table filter jump to a chain of ours,
 *   DAVIT-BRIDGE, which accepts what instances send and the answers to it. Networks of other
 *   container managers still decide for themselves whom they let in.
 * - firewalld: the bridge becomes an interface of its zone `trusted`, until it is restarted.
 *
 * Our own table goes on refusing what it refuses. A firewall written by hand (any other table that
 * drops what is forwarded) is left alone: `davit doctor` names it. */
#ifndef RUN_WAYOUT_H
#define RUN_WAYOUT_H

#include "base/str.h"

/* Opens what is closed; what is open already is left as it is. Starts a few programs and waits for
 * them. */
int wayout_open(const char *bridge, struct err *err);
/* Takes back what wayout_open did. */
int wayout_close(const char *bridge, struct err *err);

/* Pure, for iptables-restore: `lists` are what nft says of the two chains and of ours, NULL where
 * there is no such chain. Nothing is added to *ret if nothing is to be done. */
enum { WAYOUT_FOREIGN = 2, WAYOUT_OURS = 2, WAYOUT_CHAINS };
void wayout_rules(const char *bridge, const char *const lists[WAYOUT_CHAINS], bool open,
                  struct buf *ret);

#endif
