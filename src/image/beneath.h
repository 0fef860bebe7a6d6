/* Paths from outside, resolved so that nothing leaves one folder.
 *
 * Symbolic links on the way are followed as inside a container: the folder is their root, so
 * that "/etc" in one means <folder>/etc and ".." at the top stays there (openat2 with
 * RESOLVE_IN_ROOT). The last component is never followed. Mount points and /proc's magic links are
 * not crossed. */
#ifndef IMAGE_BENEATH_H
#define IMAGE_BENEATH_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/str.h"

/* A path is at most PATH_MAX long and this many folders deep: what is deeper could not be removed
 * again with the file descriptors a process has by default. */
enum { BENEATH_DEPTH_MAX = 256 };

enum { BENEATH_SLOTS = 8 };

/* Keeps the folders it met last open. */
struct beneath {
    int root;    /* borrowed */
    uid_t owner; /* of folders made on the way */
    struct {
        char *path;
        int fd;
    } slots[BENEATH_SLOTS];
    unsigned next;
};

#define BENEATH_INIT(root_fd, owner_id) ((struct beneath){.root = (root_fd), .owner = (owner_id)})
void beneath_release(struct beneath *b);
/* To be called after a folder or a symbolic link was removed or replaced. */
void beneath_forget(struct beneath *b);

/* Where an entry stands. */
struct place {
    int parent;       /* borrowed; valid until the next call */
    const char *name; /* last component; points into the path; "" for the root itself */
};

/* Brings a path into the form the others take: no empty or "." components, no slash at either end,
 * "" for the root. A leading slash is dropped. ".." is ERR_INVALID. */
int path_clean(const char *path, struct buf *ret, struct err *err);
/* Finds the folder in which the last component of the clean `path` stands. With `make`, missing
 * ones are made (mode 0755, time 0), and a whiteout in the way becomes an opaque folder. */
int beneath_find(struct beneath *b, const char *path, bool make, struct place *ret,
                 struct err *err);

/* overlayfs: a whiteout is a character device 0/0. */
bool whiteout_at(int parent, const char *name);
/* Marks a folder as hiding the one below it. */
int opaque_set(int fd, struct err *err);

#endif
