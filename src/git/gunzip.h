/* A gzip body, inflated into a file as it comes. */
#ifndef GIT_GUNZIP_H
#define GIT_GUNZIP_H

#include <stddef.h>

#include "base/err.h"

struct gunzip;
/* max: bytes it may have once it is inflated. */
int gunzip_new(size_t max, struct gunzip **ret, struct err *err);
/* ERR_INVALID: it isn't gzip; ERR_TOO_LARGE. */
int gunzip_to(struct gunzip *g, const void *data, size_t n, int fd, struct err *err);
void gunzip_free(struct gunzip *g); /* NULL is fine */

#endif
