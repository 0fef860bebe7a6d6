/* A folder as the one tar it has: entries in the order of their names' bytes, each folder before
 * what is in it; owners without the store's shift; whole seconds; whiteouts and opaque folders as
 * `.wh.` entries; the first of several hard links is the file, the others refer to it. Sockets are
 * left out. The folder itself has an entry only if its mode, owner or attributes are not the usual
 * (0755, 0:0, none).
 *
 * ERR_INVALID, naming the path, for what an image can't hold: device nodes, names starting with
 * ".wh.", owners outside the store's range, more than 256 folders in each other. */
#ifndef IMAGE_TREE_H
#define IMAGE_TREE_H

#include <sys/types.h>

#include "base/str.h"

/* Takes the tar's bytes as they come. */
struct tar_sink {
    int (*write)(void *ctx, const void *data, size_t n, struct err *err);
    void *ctx;
};

struct tree_stats {
    uint64_t tar_size;
    uint64_t files; /* and folders */
};

int tree_tar(int dir, uid_t uid_base, const struct tar_sink *sink, struct tree_stats *ret,
             struct err *err);

#endif
