/* JSON in: at most 1 MiB, 32 levels, one object, no duplicate names. Every check says which field
 * and what was expected. */
#ifndef HTTP_BODY_H
#define HTTP_BODY_H

#include <jansson.h>

#include "base/str.h"

enum { BODY_DEPTH_MAX = 32 };

static inline void body_release(json_t **j) { json_decref(*j); }

/* *ret is to be released by body_release. ERR_INVALID */
int body_object(struct str text, json_t **ret, struct err *err);
/* No other fields than these (ended by NULL). */
int body_only(const json_t *body, struct err *err, const char *name, ...) __attribute__((sentinel));
/* A required string; owned by the body. */
int body_string(const json_t *body, const char *name, const char **ret, struct err *err);
int body_bool(const json_t *body, const char *name, bool *ret, struct err *err);
/* A whole number within the range, `otherwise` when it isn't there. */
int body_int(const json_t *body, const char *name, int64_t min, int64_t max, int64_t otherwise,
             int64_t *ret, struct err *err);

#endif
