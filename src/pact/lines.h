/* Documents of lines "name value", each described by one table that both writes and reads it. A
 * value reaches to the end of its line and may hold blanks, but neither a newline nor NUL. For the
 * rest of this room. */
#ifndef PACT_LINES_H
#define PACT_LINES_H

#include "base/str.h"

enum line_kind {
    LINE_TEXT,   /* char *, owned; NULL: no line */
    LINE_LIST,   /* struct strv: a line for each */
    LINE_NUMBER, /* int64_t */
    LINE_MAYBE,  /* int64_t: no line when it has its default */
    LINE_WORD,   /* an enum, by its names */
};

struct line {
    const char *name;
    enum line_kind kind;
    size_t offset;
    bool required;
    int64_t standard, min, max;
    const char *const *words; /* by value, `max` is the last; an empty one is never written */
};

struct lines {
    const char *title; /* in errors */
    const struct line *line;
    size_t n;
};

void lines_release(const struct lines *t, void *object);
/* What has a default gets it, all else is 0: for an object that holds nothing. */
void lines_init(const struct lines *t, void *object);
/* Whether a reader would take it. Errors: "spec: "name" is missing". */
int lines_check(const struct lines *t, const void *object, struct err *err);
void lines_format(const struct lines *t, const void *object, struct buf *ret);
/* Reads into an object that lines_init has had. `strict`: the first line that isn't understood is
 * an error, "spec, line 4: …"; else it is as if it weren't there. */
int lines_parse(const struct lines *t, struct str text, bool strict, void *object, struct err *err);

#endif
