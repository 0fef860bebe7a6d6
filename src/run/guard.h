/* Sees to it that the instances' network stays as it was made while others change the machine's
 * firewall: Docker or firewalld starting anew, an admin who loads /etc/nftables.conf (which begins
 * with `flush ruleset`). Told of changes by the kernel, not by looking every so often. */
#ifndef RUN_GUARD_H
#define RUN_GUARD_H

#include <uv.h>

#include "run/network.h"

enum { GUARD_DELAY_MS = 500 }; /* after the first of many changes */

/* Once; lasts as long as the loop, as does *n. */
int guard_start(uv_loop_t *loop, const struct network *n, struct err *err);

#endif
