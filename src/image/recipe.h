/* How to make again, byte for byte, the tar of a layer that came from elsewhere: all of the tar but
 * the content of its files, which stands in the layer's folder anyway. (The idea is tar-split's.)
 *
 * A recipe is a zstd file of pieces: 'R', a length (32 bits, little endian), so many bytes of tar;
 * or 'F', a size (64 bits), the length of a path (16 bits), the path of the file, relative to the
 * folder, whose content comes here. */
#ifndef IMAGE_RECIPE_H
#define IMAGE_RECIPE_H

#include <stdint.h>

#include "image/tree.h"

struct recipe;

/* Writes a recipe into `fd` (borrowed). */
int recipe_new(int fd, struct recipe **ret, struct err *err);
/* The next `len` bytes of the tar after those up to `offset` are the content of `path`. To be said
 * before they are added, in their order. */
void recipe_expect(struct recipe *r, uint64_t offset, uint64_t len, const char *path);
/* Adds the next bytes of the tar. */
int recipe_add(struct recipe *r, const void *data, size_t n, struct err *err);
int recipe_finish(struct recipe *r, struct err *err);
void recipe_free(struct recipe *r);
DEFINE_CLEANUP(struct recipe *, recipe_free)

/* Makes the tar from the recipe in `fd` and the layer's folder. The caller checks its digest. */
int recipe_tar(int fd, int dir, const struct tar_sink *sink, struct err *err);

#endif
