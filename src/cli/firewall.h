/* Other people's firewalls, as far as they concern what instances send out. */
#ifndef CLI_FIREWALL_H
#define CLI_FIREWALL_H

#include <jansson.h>

#include "base/str.h"

/* The first chain that refuses what is forwarded unless it knows it, in a table that knows nothing
 * of `bridge`: "table ip filter, chain FORWARD"; NULL if there is none. `ruleset`: what nft -j
 * lists. Pure. */
char *firewall_obstacle(const json_t *ruleset, const char *bridge);

#endif
