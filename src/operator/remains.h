/* What is left of destroyed apps: /remains/A/OPERATOR, from a mirror of it. */
#ifndef OPERATOR_REMAINS_H
#define OPERATOR_REMAINS_H

#include "model/nouns.h"
#include "operator/operator.h"

/* The apps of which `who` has something to remove; appends. None of them exists. */
void remains_of(struct op *op, const char *who, struct strv *ret);
/* Whether `who` is not done with that app. */
bool remains_left(struct op *op, const char *app, const char *who);
/* Queued for the end of the pass: `who` is done. */
void remains_done(struct op *op, const char *app, const char *who);

#endif
