/* Files that must survive, and small ones read whole. Paths that come from outside are never opened
 * by these: use openat2 with RESOLVE_BENEATH there. Every descriptor is O_CLOEXEC. */
#ifndef OS_FILE_H
#define OS_FILE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/str.h"

/* Reads the whole file into `ret`, up to ret->cap bytes (ERR_TOO_LARGE beyond). */
int file_read(const char *path, struct buf *ret, struct err *err);
/* Replaces the file: written beside it, fsync, rename, fsync of the folder. The old or the new
 * content is there after a crash, never a part. */
int file_write_atomic(const char *path, struct str data, mode_t mode, struct err *err);
/* The same without either fsync, for files on tmpfs or that may be lost with the power. */
int file_replace(const char *path, struct str data, mode_t mode, struct err *err);
/* Writes to a file that is there, in one piece: a setting of the kernel. */
int file_set(const char *path, const char *text, struct err *err);
/* Writes all of data, through short writes and EINTR. */
int fd_write_all(int fd, const void *data, size_t n, struct err *err);
/* Creates the folder and those above it; an existing one is fine (its mode is left alone). */
int dir_make(const char *path, mode_t mode, struct err *err);
/* Removes a tree without following symbolic links or crossing into other file systems. A missing
 * one is fine. */
int dir_remove(const char *path, struct err *err);
/* The same for `name`, one component, in the folder `parent`. */
int dir_remove_at(int parent, const char *name, struct err *err);
/* Removes what is in the folder but keeps it. */
int dir_empty(const char *path, struct err *err);
bool path_exists(const char *path);
/* Whether `name` is one plain path component: not empty, no '/', not "." or "..", at most 255
 * bytes. */
bool path_is_component(const char *name);

/* The first program of that name on the PATH, or where Debian has programs if that isn't set: the
 * caller's. NULL: there is none. */
char *program_find(const char *name);

#endif
