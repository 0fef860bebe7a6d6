/* JSON out, into a buf: fields one after the other, commas by themselves.
 *
 *     json_add_open(b, NULL, '{');
 *     json_add_string(b, "name", app->name);
 *     json_add_int(b, "release", 3);
 *     json_add_close(b, '}');
 *
 * `name` is NULL for an element of a list and for the whole. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/str.h"

void json_add_open(struct buf *b, const char *name, char bracket);
void json_add_close(struct buf *b, char bracket);
void json_add_string(struct buf *b, const char *name, const char *value); /* NULL: "" */
void json_add_int(struct buf *b, const char *name, int64_t value);
void json_add_bool(struct buf *b, const char *name, bool value);
void json_add_list(struct buf *b, const char *name, const char *const *items); /* to a NULL */
void json_add_raw(struct buf *b, const char *name, struct str json);
/* What comes before a value that is written otherwise: comma and name. */
void json_add_name(struct buf *b, const char *name);
/* Only the string with its quotes; what is not UTF-8 becomes U+FFFD. */
void json_quote(struct buf *b, struct str s);

#endif
