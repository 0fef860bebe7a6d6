/* Which of the images in a bundle is meant, and where its parts are. */
#ifndef IMAGE_PICK_H
#define IMAGE_PICK_H

#include "image/bundle.h"

struct picked_layer {
    char *name;   /* in the bundle */
    char *digest; /* of the bytes there; NULL where nobody says */
};

struct picked {
    struct buf config;
    struct picked_layer *layers; /* bottom first */
    size_t n;
};

void picked_release(struct picked *p);
/* `tag`: which one, or NULL for the only one. Of an image for several kinds of machines, this
 * machine's is taken. Digests and sizes of all documents are checked. */
int pick_oci(struct bundle *b, const char *tag, struct picked *ret, struct err *err);
int pick_docker(struct bundle *b, const char *tag, struct picked *ret, struct err *err);

#endif
