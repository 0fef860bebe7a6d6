/* JSON in: at most 1 MiB, 32 levels, one object, no duplicate names. */
#ifndef HTTP_BODY_H
#define HTTP_BODY_H

#include <jansson.h>

#include "base/str.h"

enum { BODY_DEPTH_MAX = 32 };

static inline void body_release(json_t **j) { json_decref(*j); }

/* *ret is to be released by body_release. ERR_INVALID */
int body_object(struct str text, json_t **ret, struct err *err);
#endif
