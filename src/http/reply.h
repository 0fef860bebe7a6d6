/* JSON out, into a buf: fields one after the other, commas by themselves.
 *
 *     reply_open(b, NULL, '{');
 *     reply_string(b, "name", app->name);
 *     reply_int(b, "release", 3);
 *     reply_close(b, '}'); */
#ifndef HTTP_REPLY_H
#define HTTP_REPLY_H

#include "model/codec.h"

/* `name` is NULL for an element of a list and for the whole. */
void reply_open(struct buf *b, const char *name, char bracket);
void reply_close(struct buf *b, char bracket);
void reply_string(struct buf *b, const char *name, const char *value); /* NULL: "" */
void reply_int(struct buf *b, const char *name, int64_t value);
void reply_bool(struct buf *b, const char *name, bool value);
void reply_noun(struct buf *b, const char *name, const struct schema *s, const void *value);
/* A noun with one more field inside; extra may be NULL. */
void reply_noun_with(struct buf *b, const struct schema *s, const void *value, const char *name,
                     const struct schema *extra_schema, const void *extra);
void reply_map(struct buf *b, const char *name, const struct map *m);
void reply_counts(struct buf *b, const char *name, const struct counts *c);

#endif
