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
    struct recipe *recipe; /* gets all of the tar; or NULL */
};

struct unpack_result {
    uint64_t tar_size, entries;
    bool recipe_holds; /* false: the archive replaced a file of its own, whose content is lost */
};

int unpack_run(struct image_store *s, const struct unpack_job *job, struct unpack_result *ret,
               struct err *err);

#endif
