/* The operator `release`, one per cluster: which release of an app runs, how far it is, when it is
 * live, when it failed. It writes rollouts and what becomes of releases; how a rollout is realised
 * is an engine's business. It can be killed at any moment: all it goes by is in the store. */
#ifndef RELEASE_RELEASE_H
#define RELEASE_RELEASE_H

#include "operator/descriptor.h"

extern const struct operator_desc release_operator;

#endif
