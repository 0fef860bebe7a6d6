/* The operator `run`: rollouts → instances of this machine. It starts one davit-shim per instance,
 * watches them, probes them, says how far rollouts are, and can be killed at any moment: everything
 * it needs to go on is in the store and in the instances' folders. */
#ifndef RUN_RUN_H
#define RUN_RUN_H

#include "operator/descriptor.h"

extern const struct operator_desc run_operator;

/* `davitd teardown`: stops every instance of this root, removes bridge and firewall table. What was
 * desired stays in the store: the next start brings it all back. `run` must not be running. */
int run_teardown(const struct config *c, struct err *err);

#endif
