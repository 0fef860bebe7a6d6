/* One entry of an archive made into a file, folder, link or whiteout below a folder. The two halves
 * of unpacking: unpack.c reads the archive, entry.c writes the files. */
#ifndef IMAGE_ENTRY_H
#define IMAGE_ENTRY_H

#include <archive.h>
#include <archive_entry.h>

#include "image/beneath.h"
#include "image/internal.h"
#include "image/stream.h"

struct recipe;

/* A folder's time is set last: what is put into it would change it. */
struct folder_time {
    char *path;
    struct timespec mtime;
};

struct unpack {
    struct image_store *store;
    bool whiteouts;
    struct unpack_limits limits;
    struct beneath at, like; /* like.root -1: there is none */
    struct stream *stream;
    struct archive *archive;
    struct err read_error; /* of the stream, while libarchive had the word */
    uint64_t entries, bytes;
    struct buf path, target; /* of the entry, clean */
    struct folder_time *folders;
    size_t folders_n;
    const void *current; /* the stream's block that libarchive has, and its length */
    size_t current_len;
    bool last_block_zero;  /* the stream before it ends in 512 zeros */
    struct recipe *recipe; /* or NULL */
    bool replaced;         /* something of this archive gave way to a later entry */
    uint8_t *block;        /* for comparing */
};

/* What libarchive says of its last failure, or what the stream said. */
int unpack_failure(struct unpack *u, struct err *err);
/* Makes the entry at u->path. Errors don't name it yet. */
int entry_make(struct unpack *u, struct archive_entry *e, struct err *err);

#endif
