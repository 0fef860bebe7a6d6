/* Nouns, maps and counts as JSON, for answers. */
#ifndef HTTP_REPLY_H
#define HTTP_REPLY_H

#include "base/json.h"
#include "model/codec.h"

/* As base/json.h has it: `name` is NULL for an element of a list and for the whole. */
void reply_noun(struct buf *b, const char *name, const struct schema *s, const void *value);
/* A noun with one more field inside; extra may be NULL. */
void reply_noun_with(struct buf *b, const struct schema *s, const void *value, const char *name,
                     const struct schema *extra_schema, const void *extra);
void reply_map(struct buf *b, const char *name, const struct map *m);
void reply_counts(struct buf *b, const char *name, const struct counts *c);

#endif
