/* Reading from a folder that somebody else filled: no path leaves it, by symbolic link or "..", and
 * nothing but regular files is opened. */
#ifndef BUILDER_TREE_H
#define BUILDER_TREE_H

#include "base/str.h"

enum { HASH_LEN = 64 };

/* Reads the file `path` below `dir` whole, up to ret->cap. ERR_NOT_FOUND; ERR_TOO_LARGE;
 * ERR_INVALID for what is no regular file or lies outside. */
int tree_read(const char *dir, const char *path, struct buf *ret, struct err *err);
bool tree_has_file(const char *dir, const char *path);

/* What it is: "file", "folder", "other", or "-" for nothing; links inside are followed. */
const char *tree_kind(const char *dir, const char *path);
/* The names in `dir` itself, sorted. */
int tree_names(const char *dir, struct strv *ret, struct err *err);
/* A digest in hex of what `path` below `dir` is: a file's content and whether it may be executed, a
 * link's target, all below a folder; "-" if there is nothing. ERR_INVALID for a path that leaves.
 */
int tree_hash(const char *dir, const char *path, char ret[HASH_LEN + 1], struct err *err);
/* A path within a tree that somebody wrote, in its one form: "./a//b/" is "a/b"; "", "." and "/"
 * are
 * ".". The caller's; NULL if it has a ".." or a control character. Pure. */
char *tree_path(const char *path);
/* The digest of a text. */
void text_hash(struct str s, char ret[HASH_LEN + 1]);

#endif
