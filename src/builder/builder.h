/* The builder operator: sources become images, images become releases. */
#ifndef BUILDER_BUILDER_H
#define BUILDER_BUILDER_H

#include <stdbool.h>

#include "model/config.h"

/* The operator; returns the exit status of `davitd builder`. Runs as root. */
int builder_main(const struct config *c);
/* Makes the stack that every app runs on, and says what it does on stdout; quick when it is there.
 * `anew`: all stacks of which Debian has newer packages are made anew, too. */
int builder_stacks(const struct config *c, bool anew, struct err *err);

/* `davitd teardown`: removes what builds leave on the machine: control groups and firewall rules.
 * The operator must not be running. */
int builder_teardown(const struct config *c, struct err *err);

#endif
