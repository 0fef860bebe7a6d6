/* Carries out what plan decided for one instance. Idempotent: starting over what a killed `run`
 * left half done is fine. */
#ifndef RUN_ACT_H
#define RUN_ACT_H

#include "image/image.h"
#include "run/fleet.h"
#include "run/network.h"
#include "run/resolv.h"

enum { ACT_LOG_LINES = 20 };

/* What every start needs. */
struct actor {
    const struct config *config;
    struct network network;
    struct image_store *images;
    char *seccomp; /* the profile, JSON */
    char *shared;  /* the layer above all images: /etc/resolv.conf, /tmp, davit-init */
    struct resolv resolv;
    /* Empty, made with the other folders of root (daemon); every shim mounts on them in a mount
     * namespace of its own: */
    char *rootfs; /* a folder, for the instance's root */
    char *sysfs;  /* a folder, for its /sys */
    char *userns; /* a file, for its user namespace */
};

int actor_init(struct actor *a, const struct config *c, struct err *err);

/* Folders, config.json, spec, shim. vars: the release's config variables, NULL for none.
 * keep_lines: its last lines may be asked for. */
int act_start(struct actor *a, struct member *m, const struct release *r, const struct map *vars,
              bool keep_lines, struct err *err);
/* A line in the instance's log, from `davit`. */
void act_log(const struct actor *a, const struct member *m, const char *text);
/* The last lines of this very instance (others may write to the same log), without their time. */
void act_last_lines(const struct member *m, struct strv *ret);
/* They are not wanted any more; costs nothing the second time. */
void act_forget_lines(struct member *m);

#endif
