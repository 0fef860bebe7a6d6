/* What an instance is started from: the OCI config.json for crun and the shim's spec. Both are
 * texts; nothing here touches the machine but to look into the image's layers.
 *
 * Every instance has the walls of bundle/config.h. Images whose process is container root get those
 * of Docker's default capabilities that act on their own files and processes, or nginx, PostgreSQL
 * and most others that change to their own user could not start. These count in the instance's user
 * namespace only. */
#ifndef RUN_SPEC_H
#define RUN_SPEC_H

#include "image/image.h"
#include "model/config.h"
#include "model/nouns.h"
#include "run/network.h"

/* Everything is borrowed. */
struct launch {
    const struct config *config;
    const struct network *network;
    const char *seccomp; /* the profile, JSON */
    const struct image *image;
    const struct strv *layers; /* folders, bottom first */
    const struct release *release;
    const struct process *process;
    const struct map *vars; /* config variables; NULL: none */
    const char *app, *id;
    int64_t index;
    uint16_t host;       /* its address in the network */
    const char *run_dir; /* config.json, spec, status, lock, files */
    const char *rootfs;  /* where the layers are mounted, each shim seeing only its own */
    const char *sysfs;   /* where its network's /sys is mounted, likewise */
    const char *userns;  /* where its user namespace is mounted, likewise */
    const char *disk;    /* upper, work */
};

/* A process's port; 5000 unless it says otherwise. */
int64_t process_port(const struct process *p);
/* "shop.web.v3.g0.1" */
char *instance_name(const char *app, const char *type, const char *id);

/* Its control group, for os/cgroup.h. */
char *instance_cgroup(const struct config *c, const char *name);

int launch_config(const struct launch *l, struct buf *ret, struct err *err);
int launch_spec(const struct launch *l, struct buf *ret, struct err *err);
/* The lines of /etc/hosts. */
void launch_hosts(const struct launch *l, struct buf *ret);

#endif
