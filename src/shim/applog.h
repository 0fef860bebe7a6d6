/* The instance's log: what the app writes, cut into lines and stamped, and what the shim itself
 * has to say.
 *
 *     2026-09-16T15:13:46.677020+00:00 app[web.1]: message
 *     2026-09-16T15:13:46.677020+00:00 davit[web.1]: State changed from starting to up
 *
 * Lines are split at 10,000 bytes (never inside a UTF-8 character), NUL becomes a blank, other
 * control bytes stay. The file is rotated by renaming before it grows over its limit; two shims
 * may write and rotate the same log (an instance and its successor). Nothing here ever fails: what
 * can't be written (disk full) is dropped, counted, and the count is logged once there is room. */
#ifndef SHIM_APPLOG_H
#define SHIM_APPLOG_H

#include <sys/stat.h>

#include "base/str.h"
#include "log/tail.h"

enum {
    APPLOG_LINE_MAX = 10000,
    APPLOG_IN = 65536,  /* bytes read at once */
    APPLOG_OUT = 98304, /* bytes written at once; a log's limit is larger */
};

struct applog {
    const char *path, *process; /* the caller's; both outlive the log */
    uint64_t max;
    unsigned files;
    struct tail tail;
    int dir, fd; /* the folder and the file; -1: could not be opened so far */
    struct stat opened;
    bool torn; /* the file doesn't end with a newline: a write was cut short */
    uint64_t dropped;
    int error;        /* errno of what was dropped */
    char last[512];   /* the last line the app wrote that isn't indented, cut */
    char prefix[128]; /* time and source of the lines of this batch */
    size_t prefix_len, pending, filled;
    char in[APPLOG_IN], out[APPLOG_OUT];
};

/* `max` bytes a file, `files` of them, the current one included. tail: the path of shim/tail.h, or
 * NULL; the caller's too. */
void applog_init(struct applog *l, const char *path, const char *process, uint64_t max,
                 unsigned files, const char *tail);
void applog_release(struct applog *l);
/* Takes what is there to read from the app's pipe, once, and writes its whole lines; false when
 * there is nothing (EAGAIN) or will never be (end). */
bool applog_read(struct applog *l, int pipe);
/* Writes the unfinished last line: the app has ended. */
void applog_finish(struct applog *l);
/* A line of the shim's own, after finishing the app's. */
void applog_say(struct applog *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#endif
