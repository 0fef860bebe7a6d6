/* The bell of a database file: the lock that writers queue at, and the sound that wakes watchers.
 *
 * Both are one file beside the database. A writer opens it for writing, locks it, commits, and
 * closes it. The kernel tells every process that listens with inotify about the close, also when
 * the writer was killed at any point: no wakeup is lost and nobody polls. Waiting for the lock
 * sleeps in the kernel's queue. */
#ifndef STORE_BELL_H
#define STORE_BELL_H

#include <stdbool.h>

#include "base/err.h"

struct bell {
    char *path;
    int ear; /* inotify; -1 until bell_listen */
};

/* Makes the file if it is missing. */
int bell_init(struct bell *b, const char *db_path, struct err *err);
void bell_release(struct bell *b);

/* Waits until no other writer holds the bell. `ret_rope` is the caller's until bell_ring. */
int bell_take(const struct bell *b, int *ret_rope, struct err *err);
/* Lets the next writer in and wakes every listener. Sets *rope to -1; -1 is fine. */
void bell_ring(int *rope);

/* Opens b->ear, which polls readable after each ring. */
int bell_listen(struct bell *b, struct err *err);
/* Whether it rang since the last call. */
bool bell_heard(const struct bell *b);

/* Opens a file read-write, making it if missing: mode 0660 and the folder's group, since processes
 * of several users share a store. The caller closes it. Negative: error. */
int shared_file_open(const char *path, struct err *err);

#endif
