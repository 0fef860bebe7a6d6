/* The pieces of a URL. */
#ifndef WIRE_URL_H
#define WIRE_URL_H

#include "base/str.h"

/* Appends s with everything but RFC 3986's unreserved characters percent-encoded: safe as one path
 * component or one query value, whatever it holds. */
void url_add_component(struct buf *b, struct str s);

/* The views point into the text that was split. */
struct url {
    struct str scheme; /* "http" or "https" */
    struct str host;   /* as written, with the port if there is one; without user and password */
    struct str path;   /* without the leading '/', up to '?' or '#' */
};

/* ERR_INVALID unless it is http:// or https:// with a host. */
int url_split(const char *text, struct url *ret, struct err *err);

#endif
