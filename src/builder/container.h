/* A container that does one step of a build and ends: crun on an overlay of layers, in a user
 * namespace, with limits. It has the host's network, to reach registries; the rules of
 * builder/firewall.h keep it off this machine's own services. */
#ifndef BUILDER_CONTAINER_H
#define BUILDER_CONTAINER_H

#include "builder/cage.h"
#include "bundle/config.h"
#include "image/image.h"

/* The user of source trees, compile steps and instances, inside images. */
enum { APP_UID = 1000 };

/* As whom its program runs. Root is root only within the user namespace, nobody on the host. */
enum container_user {
    CONTAINER_APP,     /* APP_UID, without any rights */
    CONTAINER_ROOT,    /* may install packages */
    CONTAINER_BUILDER, /* and mount, and make containers of its own, whose steps may get out of
                          them: its root is nobody's to write, so that nothing a step left is run
                          in its place. It has /tmp, /run, /var/cache, /var/tmp
                          and its binds for that. */
};

struct container {
    const struct config *config;
    struct image_store *images;
    const char *name;          /* unique among those that run: names its folder and cgroup */
    const struct strv *layers; /* diff ids of its root, bottom first */
    const char *upper; /* from image_tmp_dir: collects what it writes. A CONTAINER_BUILDER's root
                          is read-only: there this holds the mount points of its binds only */
    const struct bundle_mount
        *binds; /* a writable one is made if missing, the container's user's */
    size_t n_binds;
    const char *const *argv;
    struct map *env;
    enum container_user user;
    int64_t timeout_s;
    const struct cancel *cancel; /* or NULL */
};

/* Runs it to its end; every line it writes goes to `out`. *ret_status is its exit status.
 * ERR_CANCELLED, ERR_TIMEOUT; ERR_INTERNAL when it could not be run. */
int container_run(const struct container *c, struct output *out, int *ret_status, struct err *err);

/* The environment that programs need to reach registries from in there: proxies and certificates.
 * Adds to *ret. */
void container_network_env(struct map *ret);
/* Removes what is left of containers whose processes were killed, at start; not those another
 * process (`davitd stacks`) runs just now. */
void container_clean(const struct config *c);

#endif
