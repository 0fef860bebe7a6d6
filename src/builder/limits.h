/* How large what is unpacked or built may be: the setting unpack_max. It keeps a small upload from
 * becoming a large one. A source tree may have as much as the setting says, each layer of an image
 * four times that: layers of several GiB (CUDA, PyTorch) are usual, sources of that size aren't. */
#ifndef BUILDER_LIMITS_H
#define BUILDER_LIMITS_H

#include "image/image.h"
#include "model/config.h"

/* Every entry counts as the 512 bytes of its header in the archive, at least. */
static inline struct unpack_limits limits_of(uint64_t bytes, const char *hint)
{
    return (struct unpack_limits){
        .bytes = bytes, .entries = MIN(bytes / 512, (uint64_t)4000000), .hint = hint};
}

static inline struct unpack_limits source_limits(const struct config *c)
{
    return limits_of((uint64_t)c->unpack_max << 20,
                     "Leave out what is not needed; unpack_max in davit.conf is the limit");
}

static inline struct unpack_limits layer_limits(const struct config *c)
{
    return limits_of((uint64_t)c->unpack_max << 22,
                     "Leave out what is not needed; four times unpack_max in davit.conf is the "
                     "limit of a layer");
}

/* Of a single file, in bytes, while something is built. Files that aren't meant to become a layer
 * (a cache, a tar of a layer with its headers) have a little more room than one. */
static inline uint64_t file_limit(const struct config *c) { return 2 * layer_limits(c).bytes; }

#endif
