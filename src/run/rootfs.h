/* Looks into the layers of an image as if they were mounted, without running or trusting anything
 * in them: every path is resolved inside one layer (openat2, RESOLVE_IN_ROOT), the topmost that has
 * it. A symbolic link that points from one layer into another is not followed. */
#ifndef RUN_ROOTFS_H
#define RUN_ROOTFS_H

#include <sys/types.h>

#include "base/str.h"

enum { ROOTFS_GROUPS_MAX = 64, ROOTFS_FILE_MAX = 1 << 20 };

/* layers: folders, bottom first. -1: no layer has it, or the topmost deletes it. */
int rootfs_open(const struct strv *layers, const char *path, int flags);
bool rootfs_has(const struct strv *layers, const char *path);

/* Whom a process runs as, in the image's own numbers. */
struct rootfs_user {
    uint32_t uid, gid;
    uint32_t groups[ROOTFS_GROUPS_MAX]; /* supplementary, from etc/group */
    size_t n_groups;
    char *home; /* "/" if nothing says otherwise */
};

void rootfs_user_release(struct rootfs_user *u);
/* user: "", "uid", "name", "uid:gid", "name:group" and mixtures; "" is root.
 * ERR_UNPROCESSABLE: the image knows no such user or group. */
int rootfs_user(const struct strv *layers, const char *user, struct rootfs_user *ret,
                struct err *err);
/* The same from the texts of etc/passwd and etc/group. */
int rootfs_user_in(struct str passwd, struct str groups, const char *user, struct rootfs_user *ret,
                   struct err *err);

#endif
