/* The instance's network: one veth from the bridge into the shim's network namespace, which the
 * container inherits (its config.json names no network namespace). IPv4 only. */
#ifndef SHIM_NETWORK_H
#define SHIM_NETWORK_H

#include "pact/spec.h"

/* Sets up the network namespace we are in; `host` is a netlink descriptor opened outside of it.
 * An interface left over from a shim that was killed is replaced. */
int network_up(const struct spec *s, int host, struct err *err);
/* Removes the interface at once (it would go with the namespace, some time later), so that the
 * address can be given to another. */
int network_down(const struct spec *s, int host, struct err *err);

#endif
