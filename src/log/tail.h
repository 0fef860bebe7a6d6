/* The last lines of one instance. Its log is no place to look for them: an instance and its
 * predecessor or successor write to the same one, at the same time while a release is changed.
 *
 * The lines are kept in DIR/tail and, older ones, DIR/tail.1, as long as there is such a file: who
 * wants them makes it before the shim is started, and removes `tail`, `tail.1` and again `tail` (a
 * new one may come between) when they are not wanted any more. */
#ifndef LOG_TAIL_H
#define LOG_TAIL_H

#include <stdbool.h>
#include <stddef.h>

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

#endif
