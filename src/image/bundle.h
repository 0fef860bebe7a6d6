/* Images on their way in or out stand in a folder or in a tar; a bundle is either, read only, as
 * named files. A tar is read where it stands; one that is compressed goes into an unnamed file in
 * tmp/ first. */
#ifndef IMAGE_BUNDLE_H
#define IMAGE_BUNDLE_H

#include "image/image.h"

/* Where the bytes of a file of the bundle are. */
struct region {
    int fd; /* owned */
    off_t offset;
    uint64_t size;
};

#define REGION_NONE ((struct region){.fd = -1})
static inline void region_release(struct region *r) { closep(&r->fd); }

struct bundle;

int bundle_open(struct image_store *s, const char *path, const struct unpack_limits *limits,
                struct bundle **ret, struct err *err);
void bundle_close(struct bundle *b);
DEFINE_CLEANUP(struct bundle *, bundle_close)
/* Names are paths below the bundle; symbolic links are followed inside it. ERR_NOT_FOUND. */
int bundle_find(struct bundle *b, const char *name, struct region *ret, struct err *err);
/* Reads a file of at most `max` bytes. */
int bundle_read(struct bundle *b, const char *name, size_t max, struct buf *ret, struct err *err);

#endif
