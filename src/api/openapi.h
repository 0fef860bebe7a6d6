/* The table of routes as OpenAPI 3.1. */
#ifndef API_OPENAPI_H
#define API_OPENAPI_H

#include "base/str.h"

void openapi_write(struct buf *ret);

#endif
