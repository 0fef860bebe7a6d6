/* Files in folders that somebody else may write in, who may put a symbolic link, a pipe or a second
 * name of another file in the place of anything there. All paths are relative to a descriptor of a
 * folder that is ours; -1 with errno. Every descriptor is O_CLOEXEC. */
#ifndef OS_BELOW_H
#define OS_BELOW_H

#include <sys/types.h>

/* Opens a file, without passing through a symbolic link or out of the folder. ELOOP, EXDEV; EINVAL
 * for a pipe and for a file that has another name too. */
int below_open(int dir, const char *path, int flags, mode_t mode);
/* Opens the folder `name`, one component, made with that mode if it is missing. */
int below_folder(int dir, const char *name, mode_t mode);

#endif
