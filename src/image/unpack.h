/* Unpacking with all that only this room uses: see image_unpack. */
#ifndef IMAGE_UNPACK_H
#define IMAGE_UNPACK_H

#include "image/image.h"
#include "image/stream.h"

struct unpack_job {
    struct stream_spec source; /* max is set from the limits */
    const char *dir, *like;
    bool whiteouts;
    const struct unpack_limits *limits;
};

/* `ret_tar_size`: decompressed bytes, or NULL. */
int unpack_run(struct image_store *s, const struct unpack_job *job, uint64_t *ret_tar_size,
               struct err *err);

#endif
