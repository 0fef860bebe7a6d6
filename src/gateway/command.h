/* Actions as commands of HAProxy's runtime socket, and what its answers mean. Pure; private to the
 * room.
 *
 * A backend of the pool has a twin, g7 beside s7, whose servers speak HTTP/2 without TLS: gRPC
 * needs that to the very instance. What is done to a server is done to its twin, and first to that:
 * a server in s7 has one in g7, whenever we were killed. */
#ifndef GATEWAY_COMMAND_H
#define GATEWAY_COMMAND_H

#include "gateway/state.h"

/* The line for an action (not GROW, not DRAINED), the caller's. ERR_INVALID: a name in it means
 * something to HAProxy's reader. */
int command_for(const struct state *s, const struct action *a, char **ret, struct err *err);
/* ERR_INTERNAL with HAProxy's words if an answer is not what success looks like. *ret_deleted:
 * after STOP or DELETE, whether neither of the twins is there any more. */
int command_judge(const struct action *a, struct str reply, bool *ret_deleted, struct err *err);
/* Cuts one answer off a reply: lines up to an empty one. */
struct str command_answer(struct str *reply);

#endif
