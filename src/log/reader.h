/* Reading an app's logs: the files of <log>/APP merged by time, each with what was rotated away
 * before it (web.1.log.2, web.1.log.1, web.1.log). First backwards from the ends until enough lines
 * are found, then forwards from there. Holds one block a log at a time, whatever the sizes of files
 * and lines. */
#ifndef LOG_READER_H
#define LOG_READER_H

#include "log/line.h"

enum { LOG_LINES_MAX = 100000 }; /* n at most */

struct log_query {
    const char *process;           /* "web.1", "web" for all of a type, NULL for all */
    const char *source;            /* "app", "davit", "router", NULL for all */
    char since[TIME_TEXT_LEN + 1]; /* no line before; "" for all */
    uint64_t n;                    /* the last n lines */
    bool follow;
};

struct log_reader;

/* `dir` need not exist. The query's strings are copied. */
struct log_reader *log_reader_new(const char *dir, const struct log_query *q);
void log_reader_free(struct log_reader *r);
DEFINE_CLEANUP(struct log_reader *, log_reader_free)
/* One slice of the way back, some milliseconds; true when it is done. */
bool log_reader_search(struct log_reader *r);
/* The next line, after the search: valid until the next call. False: no more, or none for now. */
bool log_reader_next(struct log_reader *r, struct log_line *ret);
/* Following: a file of that name came or changed. */
void log_reader_changed(struct log_reader *r, const char *name);

#endif
