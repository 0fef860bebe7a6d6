/* How large sources and layers may be, unpacked: the setting unpack_max. Each of them, not all
 * together: it keeps a small upload from becoming a large one. */
#ifndef BUILD_LIMITS_H
#define BUILD_LIMITS_H

#include "image/image.h"
#include "model/config.h"

/* Every entry counts as the 512 bytes of its header in the archive, at least. */
static inline struct unpack_limits build_limits(const struct config *c)
{
    uint64_t bytes = (uint64_t)c->unpack_max << 20;
    return (struct unpack_limits){
        .bytes = bytes,
        .entries = MIN(bytes / 512, (uint64_t)4000000),
        .hint = "Leave out what is not needed; unpack_max in davit.conf is the limit"};
}

#endif
