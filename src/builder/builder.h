/* The builder operator: sources become images, images become releases. */
#ifndef BUILDER_BUILDER_H
#define BUILDER_BUILDER_H

#include "operator/descriptor.h"

extern const struct operator_desc builder_operator;

/* `davitd stacks`: makes the stack that every app runs on, and says what it does on stdout; quick
 * when it is there. `anew`: all stacks of which Debian has newer packages are made anew, too. */
int builder_stacks(const struct config *c, bool anew, struct err *err);

#endif
