/* Finds submodules in the tar `git archive` makes, as it passes by. Git has no empty folders, and
 * writes a submodule as one: a folder that the next entry doesn't lie in. Pure. */
#ifndef GIT_HOOK_TAR_H
#define GIT_HOOK_TAR_H

#include "base/str.h"

struct tar_scan {
    unsigned char header[512];
    size_t have;    /* bytes of the header */
    uint64_t skip;  /* bytes of contents and padding to come */
    struct buf pax; /* a pax header's records, while wanted */
    uint64_t pax_left;
    char *path;      /* the next entry's, from its pax header; NULL: none */
    char *folder;    /* the last entry if it was a folder */
    char *submodule; /* the first one found, without the slash; NULL: none so far */
};

void tar_scan_release(struct tar_scan *t);
/* The next piece. What isn't tar finds nothing. */
void tar_scan(struct tar_scan *t, const void *data, size_t n);
/* After the last piece. */
void tar_scan_end(struct tar_scan *t);

#endif
