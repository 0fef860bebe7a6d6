/* Writing tar headers that never change: the same entry gives the same bytes for ever, since
 * digests of layers stand on them. Hence our own and not libarchive's, which may differ between
 * versions. ustar (POSIX.1-1988), with pax records (POSIX.1-2001) only where ustar has no room. */
#ifndef IMAGE_TAR_H
#define IMAGE_TAR_H

#include <sys/stat.h>

#include "base/str.h"

enum { TAR_BLOCK = 512 };

enum tar_type {
    TAR_FILE = '0',
    TAR_HARDLINK = '1',
    TAR_SYMLINK = '2',
    TAR_FOLDER = '5',
    TAR_FIFO = '6',
};

struct tar_entry {
    enum tar_type type;
    const char *path; /* a folder's ends in '/' */
    const char *link; /* for both kinds of links, else "" */
    mode_t mode;      /* 07777 of it */
    uid_t uid;
    gid_t gid;
    uint64_t size;
    int64_t mtime;     /* seconds since 1970 */
    struct str xattrs; /* pax records, made by tar_pax; or empty */
};

/* Adds the entry's header block, with a pax header in front where it needs one. */
void tar_header(struct buf *out, const struct tar_entry *e);
/* Adds one pax record: "LENGTH KEY=VALUE\n". */
void tar_pax(struct buf *out, const char *key, struct str value);
/* How many zeros follow `size` bytes of content. */
static inline size_t tar_padding(uint64_t size) { return (size_t)(-size & (TAR_BLOCK - 1)); }

#endif
