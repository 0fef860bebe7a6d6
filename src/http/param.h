/* What a request may carry, declared once in its route's row: the check, and what the description
 * of the API says, come from it. */
#ifndef HTTP_PARAM_H
#define HTTP_PARAM_H

#include <jansson.h>

#include "base/str.h"

/* A kind of text. */
struct text_kind {
    const char *pattern; /* of ECMA 262, for the description; a test holds it against the check */
    size_t max;          /* bytes; 0: no limit but the body's */
    int (*check)(const char *text, struct err *err); /* NULL: any printable text up to `max` */
};

enum param_type {
    PARAM_TEXT,
    PARAM_NUMBER, /* whole, within min…max, which a double holds exactly */
    PARAM_FLAG,   /* JSON's true or false */
};

struct param {
    const char *name, *doc;
    enum param_type type;
    bool required;
    bool nullable; /* null has a meaning of its own */
    bool any; /* stands for all fields: their names are of kind `names`; there is at least one */
    const struct text_kind *kind, *names;
    const char *const *choices; /* of a text, ended by NULL; NULL: any */
    int64_t min, max, otherwise;
};

/* A list ends with a param without a name; NULL is an empty one. */
const struct param *param_find(const struct param *list, const char *name); /* NULL: not there */
/* One value from a path or a query. ERR_INVALID. */
int param_check_text(const struct param *p, const char *text, struct err *err);
/* The fields of a body: all required ones, no others. ERR_INVALID says which and what is needed. */
int param_check_body(const struct param *fields, const json_t *body, struct err *err);

#endif
