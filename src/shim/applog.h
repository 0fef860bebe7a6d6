/* The instance's log: what the app writes, cut into lines and stamped (log/line.h), and what the
 * shim itself has to say.
 *
 * Lines are split at 10,000 bytes (never inside a UTF-8 character), NUL becomes a blank, other
 * control bytes stay. Nothing here ever fails: what can't be written (disk full) is dropped,
 * counted, and the count is logged once there is room. */
#ifndef SHIM_APPLOG_H
#define SHIM_APPLOG_H

#include "log/file.h"
#include "log/line.h"
#include "log/tail.h"

enum {
    APPLOG_LINE_MAX = 10000,
    APPLOG_IN = 65536,  /* bytes read at once */
    APPLOG_OUT = 98304, /* bytes written at once; a log's limit is larger */
};

struct applog {
    const char *process;
    struct log_file file;
    struct tail tail;
    uint64_t dropped;
    int error;                   /* errno of what was dropped */
    char last[512];              /* the last line the app wrote that isn't indented, cut */
    char prefix[LOG_PREFIX_MAX]; /* time and source of the lines of this batch */
    size_t prefix_len, pending, filled;
    char in[APPLOG_IN], out[APPLOG_OUT];
};

/* `max` bytes a file, `files` of them, the current one included. tail: the path of log/tail.h, or
 * NULL. All texts are the caller's and outlive the log. */
void applog_init(struct applog *l, const char *path, const char *process, int64_t max,
                 int64_t files, const char *tail);
void applog_release(struct applog *l);
/* Takes what is there to read from the app's pipe, once, and writes its whole lines; false when
 * there is nothing (EAGAIN) or will never be (end). */
bool applog_read(struct applog *l, int pipe);
/* Writes the unfinished last line: the app has ended. */
void applog_finish(struct applog *l);
/* A line of the shim's own, after finishing the app's. */
void applog_say(struct applog *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#endif
