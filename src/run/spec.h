/* What an instance is started from: the OCI config.json for crun and the shim's spec. Both are
 * texts; nothing here touches the machine but to look into the image's layers.
 *
 * Every instance has namespaces of its own; root in the image is host uid `uid_base`, which owns
 * nothing but the instance. no_new_privs, the seccomp profile, and no capability at all – but for
 * images whose process is container root: they get those of Docker's defaults that act on their own
 * files and processes (LAUNCH_ROOT_CAPABILITIES), or nginx, PostgreSQL and most others that change
 * to their own user could not start. These count in the instance's user namespace only. */
#ifndef RUN_SPEC_H
#define RUN_SPEC_H

#include "image/image.h"
#include "model/config.h"
#include "model/nouns.h"
#include "run/network.h"

#define LAUNCH_ROOT_CAPABILITIES                                                                   \
    "\"CAP_CHOWN\",\"CAP_DAC_OVERRIDE\",\"CAP_FOWNER\",\"CAP_FSETID\",\"CAP_KILL\","               \
    "\"CAP_SETGID\",\"CAP_SETUID\",\"CAP_NET_BIND_SERVICE\",\"CAP_SYS_CHROOT\""

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
/* From the text of a config.json: the process that runs `command` in its instance later on, in all
 * but what is executed what the app is there. */
int launch_command(struct str config, const struct strv *command, struct buf *ret, struct err *err);
int launch_spec(const struct launch *l, struct buf *ret, struct err *err);
/* The lines of /etc/hosts. */
void launch_hosts(const struct launch *l, struct buf *ret);

#endif
