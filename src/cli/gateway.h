/* What the gateway says of itself: the field `gateway` of /v1/status. */
#ifndef CLI_GATEWAY_H
#define CLI_GATEWAY_H

#include "cli/cli.h"

/* Whether the gateway has said that it serves. */
bool gateway_is_ok(const json_t *status);
/* Whether another program of this machine has one of its ports: it won't serve before somebody
 * acts.
 */
bool gateway_is_blocked(const struct cli *cli, const json_t *status);
/* ERR_UNAVAILABLE with its words if it has said that it can't serve; who may see all processes of
 * the machine is also told which one holds a port. 0: it serves, or has yet to say. */
int gateway_check(const struct cli *cli, const json_t *status, struct err *err);

#endif
