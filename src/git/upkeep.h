/* Packing repositories, which git would do inside the push that makes it due: here some time after
 * the last push, one repository at a time, with the least weight. */
#ifndef GIT_UPKEEP_H
#define GIT_UPKEEP_H

#include <uv.h>

#include "model/config.h"

struct upkeep;

struct upkeep *upkeep_new(uv_loop_t *loop, const struct config *c);
void upkeep_free(struct upkeep *u); /* when the loop runs no more */
void upkeep_later(struct upkeep *u, const char *app);

#endif
