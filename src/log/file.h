/* A log's current file, as it is written: appended to, and rotated by renaming before it grows over
 * its limit (log → log.1 → log.2 …, the oldest goes). Several processes may write and rotate the
 * same log: an instance, its successor, and what the engine says of them. Who takes the file away
 * gets a new one. */
#ifndef LOG_FILE_H
#define LOG_FILE_H

#include <stdint.h>
#include <sys/stat.h>

#include "base/str.h"

struct log_file {
    const char *path; /* absolute; the caller's, who keeps it */
    /* The file's folder is an app's: others than us may write there, so nothing in it is opened
     * through a link, and it is made when it is missing. */
    bool shared;
    int64_t max;   /* bytes, but for writes that are larger */
    int64_t files; /* kept, the current one included */
    /* The writer's own: */
    bool torn;   /* doesn't end with a newline: never rotated as it is */
    int dir, fd; /* -1: not open */
    struct stat opened;
};

void log_file_init(struct log_file *f, const char *path, bool shared, int64_t max, int64_t files);
void log_file_release(struct log_file *f);
/* Makes it ready to take n bytes: opened, rotated. False: it can't be opened; errno. */
bool log_file_prepare(struct log_file *f, size_t n);
/* Appends to what was prepared; returns how much there was room for: if not all, errno. */
size_t log_file_add(struct log_file *f, const void *data, size_t n);
/* Both. What can't be written is dropped: ERR_NO_SPACE and what else open and write give. */
int log_file_write(struct log_file *f, const void *data, size_t n, struct err *err);

#endif
