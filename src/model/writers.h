/* Who may write what, from the rows WRITER and TRANSITION of the nouns' tables. Whoever deletes a
 * noun may delete what lies below its key. Checked where Davit is built with tests: an operator
 * that writes what isn't its own aborts. */
#ifndef MODEL_WRITERS_H
#define MODEL_WRITERS_H

#include "model/nouns.h"

/* Whether the operator `who` may turn one document into another. ptr NULL: there is none.
 * ERR_FORBIDDEN says whose it is; ERR_INVALID: the key is of no noun, or `after` doesn't decode. */
int write_check(const char *who, const char *key, struct str before, struct str after,
                struct err *err);
/* The table "Who writes what" of ARCHITECTURE.md: a row of Markdown for each noun with a key. */
void writers_describe(struct buf *ret);

#endif
