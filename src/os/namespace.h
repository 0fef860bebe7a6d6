/* Namespaces of the calling process (one thread), and what is mounted in them. */
#ifndef OS_NAMESPACE_H
#define OS_NAMESPACE_H

#include <sys/types.h>

#include "base/str.h"

/* A mount namespace of our own: what the host unmounts goes away here too, what is mounted here
 * never shows on the host and ends with the last process inside. */
int namespace_mounts(struct err *err);
/* A network namespace of our own with nothing in it but a lo that is down. Sockets opened before
 * stay in the old one. */
int namespace_network(struct err *err);

/* Mounts at `target`, read-only, the /sys of the network namespace we are in: its interfaces, and
 * no cgroups. One of a user namespace can't do so itself unless the network is its own. */
int namespace_sysfs(const char *target, struct err *err);
/* Makes a user namespace in which 0–65535 are the host's ids from `base` on, and mounts it at the
 * file `path`. It belongs to the host uid `owner`: whatever the kernel counts by user (inotify,
 * message queues, pending signals, processes) is counted for the namespace's owner too. Those who
 * shall not use it up for each other need different owners, and none may be root. */
int namespace_user(uid_t owner, uid_t base, const char *path, struct err *err);

/* Mounts `layers` (folders, bottom first, at least one; of those named twice the upper) as one tree
 * at `target`, writable through `upper` with `work` beside it, or (both NULL, two layers at least)
 * by nobody. Names may hold any character; as many layers as the kernel takes (500), since they are
 * handed over as descriptors, not as one long option. */
int mount_overlay(const struct strv *layers, const char *upper, const char *work,
                  const char *target, struct err *err);
/* Makes a file (a program) read-only, for whoever sees it in this mount namespace. */
int mount_read_only(const char *file, struct err *err);
/* Lets programs below a folder be run even if its file system is mounted noexec (systemd mounts
 * /run so), for whoever sees it in this mount namespace. What is mounted below it is hidden. */
int mount_executable(const char *dir, struct err *err);
/* Takes away what is mounted at `target` even while it is in use; nothing there is fine. */
int mount_remove(const char *target, struct err *err);

#endif
