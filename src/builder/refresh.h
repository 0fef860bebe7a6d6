/* Keeps stacks and runtimes fresh. apt is asked, in a container on each of them, which of their
 * packages Debian has newer versions of. Where there are any, the stack and what stands on it is
 * made anew beside the old, and takes its name when all of them are made: whoever builds meanwhile
 * uses the old ones, whoever builds after that the new. Running apps keep their layers. */
#ifndef BUILDER_REFRESH_H
#define BUILDER_REFRESH_H

#include "builder/stack.h"
#include "model/nouns.h"

/* The stacks there are, as a list of struct stack by name; `checked`, `updates` and `error` are
 * empty. */
int refresh_list(const struct stacks *s, struct list *ret, struct err *err);
/* Looks, makes anew what wants it, and lists the stacks as they are then; s->out says what is made.
 * An error is in the list too, with every stack it is about; then all stacks are what they were. */
int refresh_run(const struct stacks *s, struct list *ret, struct err *err);
void refresh_list_release(struct list *l);

#endif
