/* Whether this machine lets us make user namespaces, without which no instance starts. */
#ifndef CLI_USERNS_H
#define CLI_USERNS_H

#include "base/err.h"

/* Makes one, in a child that ends with it; ERR_UNAVAILABLE with what keeps us from it and what to
 * do. Whoever isn't root learns only what the settings of the kernel forbid root, too. */
int userns_check(struct err *err);

#endif
