/* The content of one stack or runtime: what a recipe says, put into a folder. For build/stack.h and
 * build/refresh.h, which hold the lock of those who make stacks. */
#ifndef BUILDER_STACK_FILL_H
#define BUILDER_STACK_FILL_H

#include "builder/recipe.h"
#include "builder/stack.h"

/* Makes the layer that goes on `parent` in `dir`, an image_tmp_dir. */
int stack_fill(const struct stacks *s, const struct recipe *r, const struct strv *parent,
               const char *dir, struct err *err);
/* Asks apt which packages in the chain `layers`, which the recipe made, Debian has newer versions
 * of; appends their names. With `ask` its lists are fetched anew first: ERR_UNAVAILABLE. */
int stack_updates(const struct stacks *s, const struct recipe *r, const struct strv *layers,
                  bool ask, struct strv *ret, struct err *err);

#endif
