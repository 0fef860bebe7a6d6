/* Watches an instance come to its memory limit, and says so in its log: R14 when what can't be
 * given back (all but the cache of files) fills it nearly, R15 when the kernel kills a process for
 * it. Costs nothing while there is room; at the limit a look every few seconds, and a line a
 * minute. */
#ifndef SHIM_MEMORY_H
#define SHIM_MEMORY_H

#include "shim/applog.h"

struct memory {
    const char *cgroup; /* the caller's */
    uint64_t limit;     /* bytes; 0: none, nothing is watched */
    int fd;             /* -1: not watched */
    int64_t look_ms;    /* mono ms of the next look; 0: when fd says so */
    int64_t quiet_ms;   /* until then R14 isn't said again */
    uint64_t kills;     /* that were told */
};

void memory_watch(struct memory *m, const char *cgroup, uint64_t limit);
void memory_unwatch(struct memory *m);
/* For poll: -1 while a look is due anyway. Any event is one. */
int memory_fd(const struct memory *m);
/* Once it had an event, or its time has come. */
void memory_look(struct memory *m, struct applog *log, int64_t now_ms);

#endif
