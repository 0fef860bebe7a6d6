/* What a build says to who pushed: plain text lines in builds/ID/output.log, which api follows.
 *     "-----> Node.js app detected", "       detail", " !     warning"
 * What would act on the pusher's terminal is spelled out, but for colours (base/visible.h).
 * The values of config variables never appear in it. Used by one thread at a time. */
#ifndef BUILDER_OUTPUT_H
#define BUILDER_OUTPUT_H

#include "base/str.h"
#include "model/codec.h"

enum { OUTPUT_LINE_MAX = 10000, OUTPUT_MAX = 64 << 20 };

struct output {
    int fd;              /* -1: nowhere */
    struct buf line;     /* what came of the line that is not ended yet */
    struct strv secrets; /* what must not be shown */
    size_t written;
    char *last; /* last line that a program wrote, NULL: none */
};

/* Appends to the file at `path` (made if missing). */
int output_open(struct output *o, const char *path, struct err *err);
/* Writes to a descriptor, which it takes over. */
void output_to(struct output *o, int fd);
void output_close(struct output *o);
/* From here on these values are shown as "[redacted]": all of eight bytes and more but plain words
 * such as "production". */
void output_hide(struct output *o, const struct map *vars);

void output_step(struct output *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void output_detail(struct output *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* " !     " before each line of the text. */
void output_warning(struct output *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* What a program wrote, in pieces of any size; it is passed on line by line. */
void output_feed(struct output *o, const char *data, size_t n);
/* Passes on a last line that has no end. */
void output_flush(struct output *o);

#endif
