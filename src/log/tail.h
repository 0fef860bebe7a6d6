/* The last lines of one instance. Its log is no place to look for them: an instance and its
 * predecessor or successor write to the same one, at the same time while a release is changed.
 *
 * The lines are kept in the file and, older ones, in file.1, as long as there is such a file. */
#ifndef LOG_TAIL_H
#define LOG_TAIL_H

#include "base/str.h"

enum { TAIL_MAX = 16384 }; /* bytes a file */

struct tail {
    const char *path; /* the caller's; NULL: nothing is kept */
    int fd;           /* -1: not opened yet */
    size_t size;
};

void tail_init(struct tail *t, const char *path);
void tail_release(struct tail *t);
/* Whole lines, each with its newline. Fails silently. */
void tail_add(struct tail *t, const char *lines, size_t n);

/* The other side: asks for the lines, before the instance starts; has what there are, in order;
 * wants them no more. */
int tail_want(const char *path, struct err *err);
void tail_read(const char *path, struct strv *ret);
void tail_forget(const char *path);

#endif
