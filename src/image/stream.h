/* Bytes of a layer on their way in, one pass: file → sha256 of what was stored → decompression →
 * sha256 of what comes out → blocks for the reader. The way up to the blocks runs in a thread of
 * its own, so that the reader makes files meanwhile. */
#ifndef IMAGE_STREAM_H
#define IMAGE_STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/str.h"

struct stream_spec {
    int fd; /* borrowed; read from where it stands, or from `offset` if `size` is set */
    off_t offset;
    uint64_t size;       /* 0: to the end of the file */
    const char *digest;  /* what the stored bytes must have, or NULL */
    const char *diff_id; /* what the decompressed bytes must have, or NULL */
    uint64_t max;        /* decompressed bytes; ERR_TOO_LARGE past it */
};

struct stream;

/* Whether what stands in the file at `offset` is compressed in a way stream_open undoes. */
bool stream_compressed(int fd, off_t offset);

int stream_open(const struct stream_spec *spec, struct stream **ret, struct err *err);
/* The next bytes, valid until the next call; their number, 0 at the end, or -code. */
ssize_t stream_next(struct stream *s, const void **ret, struct err *err);
/* Reads what is left and checks the digests: ERR_INVALID when one is wrong. */
int stream_finish(struct stream *s, struct err *err);
/* Decompressed bytes handed out so far. */
uint64_t stream_bytes(const struct stream *s);
/* Stops the thread, even one waiting for its input. */
void stream_close(struct stream *s);
DEFINE_CLEANUP(struct stream *, stream_close)

#endif
