/* Making what git holds in quarantine survive power loss, beside the build instead of before it:
 * git would wait for the disk while nobody builds yet. */
#ifndef GIT_HOOK_SYNC_H
#define GIT_HOOK_SYNC_H

#include <sys/types.h>

#include "base/err.h"

/* fsync of every file below the folder. */
int sync_tree(const char *path, struct err *err);
/* The same in a child process, which is to be awaited before the push is accepted. */
pid_t sync_tree_start(const char *path, struct err *err);
/* ERR_IO if it failed. */
int sync_tree_end(pid_t pid, struct err *err);

#endif
