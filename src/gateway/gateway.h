/* The gateway: hosts and instances → HAProxy, which goes on without the operator. See
 * ARCHITECTURE.md for what it reads and writes. */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include "operator/descriptor.h"

extern const struct operator_desc gateway_operator;

#endif
