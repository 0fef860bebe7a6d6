/* The container, by crun: its root filesystem, its start, its end. */
#ifndef SHIM_CONTAINER_H
#define SHIM_CONTAINER_H

#include <sys/types.h>

#include "pact/spec.h"

struct container {
    const struct spec *spec;
    const char *bundle; /* the folder with config.json */
    char *crun;
    char *state; /* crun's state folder */
    char *pid_file;
    char *config; /* what crun is told to read */
};

/* `bundle` is …/instances/NAME: crun's state lies beside `instances`. */
void container_init(struct container *c, const struct spec *spec, const char *bundle);
void container_release(struct container *c);

/* Spares crun its first step, each time: against apps that overwrite the program they were started
 * by (CVE-2019-5736) it makes a read-only copy of itself, and starts over as that. In a mount
 * namespace of our own the program is made read-only once for all. */
void container_seal_crun(const struct container *c);

/* Starts crun, which will start the app with `output` as its stdout and stderr and then end; the
 * app becomes our child (we must be a subreaper). crun waits for its configuration until
 * container_configure: what it needs can be made meanwhile. Gives crun's pidfd, and the pipe it
 * reads the configuration from; closing that makes it give up. */
int container_start(const struct container *c, int output, int *ret_crun, int *ret_pipe,
                    struct err *err);
/* Mounts the layers with an empty writable layer on top. */
int container_mount(const struct container *c, struct err *err);
void container_unmount(const struct container *c);
/* Gives crun its configuration; closes the pipe. */
int container_configure(const struct container *c, int pipe, struct err *err);
/* After crun has ended well: the app. */
int container_pid(const struct container *c, pid_t *ret, struct err *err);
/* Kills and removes whatever there is of it: processes, crun's state, cgroup. Nothing there is
 * fine. */
int container_clear(const struct container *c, struct err *err);

#endif
