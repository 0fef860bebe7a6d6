/* Containers as crun takes them: the one writer of config.json (OCI runtime-spec 1.0.2,
 * "config.md"), for instances, for the steps of builds, and for whatever else runs in one.
 *
 * All have the same walls: namespaces of their own, but for the network, which is the starter's
 * (an instance's shim has one of its own by then); ids of a user namespace that the caller has
 * made; no capability at all, no_new_privs, the seccomp profile of data/; /proc and /sys masked and
 * read only; no core files. What one may do beyond that is granted by name, by who writes it down.
 */
#ifndef BUNDLE_CONFIG_H
#define BUNDLE_CONFIG_H

#include "model/codec.h"
#include "model/config.h"

enum { BUNDLE_IDS = 65536 }; /* users and groups a container has, from config's uid_base on */

/* Capabilities in the container's own user namespace, for processes that are root in it. */
enum bundle_grant {
    GRANT_ROOT = 1 << 0,       /* on its own files and processes: what most images that run as root
                                  need to change to their own user */
    GRANT_LOW_PORTS = 1 << 1,  /* to bind ports below 1024 */
    GRANT_INSTALL = 1 << 2,    /* to give files and processes such rights: package managers */
    GRANT_CONTAINERS = 1 << 3, /* to mount and make containers of its own; widens the profile too */
};

struct bundle_mount {
    const char *source; /* a folder or file of the host; NULL: a tmpfs, gone with the container */
    const char *target;
    bool writable;
};

/* Everything is borrowed. */
struct bundle_config {
    const char *root; /* a folder; relative: below the bundle's */
    const char *hostname, *cwd;
    const char *userns; /* where the user namespace is mounted */
    int64_t uid_base;   /* the host's uid and gid of 0 in it */
    uint32_t uid, gid;
    const uint32_t *groups; /* supplementary */
    size_t n_groups;
    const char *const *argv; /* to a NULL */
    const struct map *env;
    const char *sysfs; /* what its /sys is, a /sys of its network; NULL: it has none */
    const struct bundle_mount *mounts;
    size_t n_mounts;
    int64_t open_files, file_max; /* limits, files and bytes; 0: the starter's */
    int oom_score_adj;            /* 0: the starter's */
    unsigned grants;              /* enum bundle_grant */
    struct str profile;           /* of bundle_profile for these grants */
};

/* The seccomp profile. */
int bundle_profile(const struct config *c, unsigned grants, struct buf *ret, struct err *err);
int bundle_config_format(const struct bundle_config *c, struct buf *ret, struct err *err);
/* From the text of a config.json: the process that runs `command` in its container later on, in all
 * but what is executed what the first one there is. */
int bundle_process(struct str config, const struct strv *command, struct buf *ret, struct err *err);

#endif
