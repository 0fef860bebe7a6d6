/* Starting programs: argument vectors only, never a shell; nothing inherited but what is named
 * here. */
#ifndef OS_SPAWN_H
#define OS_SPAWN_H

#include <sys/types.h>

#include "base/str.h"

/* fds: descriptors that become 0, 1 and 2 of the program; -1 is /dev/null. fd3: 0, or one that
 * becomes 3. All others are closed.
 * env: NULL inherits ours. cwd: NULL is ours. uid/gid: 0 keeps ours; otherwise supplementary groups
 * are dropped too. cgroup: NULL, or the group it starts in (os/cgroup.h). new_session: setsid.
 * die_with_parent: SIGKILL when the thread that spawned it ends. pidfd: NULL, or where a descriptor
 * of the process is put (O_CLOEXEC; the caller's). */
struct spawn {
    const char *const *argv; /* argv[0] is looked up on the PATH */
    const char *const *env;
    const char *cwd;
    int fds[3];
    int fd3;
    uid_t uid;
    gid_t gid;
    const char *cgroup;
    bool new_session;
    bool die_with_parent;
    int *pidfd;
};

/* The words before a program's own that make it nobody on this machine: user and group `uid`, no
 * rights and no way to any, no home, and of our environment only PATH, proxies, certificates and
 * what is git's: the rest names folders and files of ours. It still dies with its parent. */
void spawn_as(uid_t uid, struct strv *ret);
/* Nothing to read, for a program that hands its stdin on to strangers: the end of a pipe that
 * nobody writes to. /dev/null is the machine's, and crun gives what an instance has as 0, 1 and 2
 * to the instance's user, who could take it from everybody else. The caller's to close; or -code.
 */
int spawn_no_input(struct err *err);
/* Starts it; returns the pid, or -code. A program that can't be executed is an error here, not an
 * exit status. */
pid_t spawn_start(const struct spawn *s, struct err *err);
/* Waits for it: its exit status 0–255, or 128+signal. */
int spawn_wait(pid_t pid);
/* Runs argv to its end with `input` on its stdin (ptr NULL: /dev/null); stdout goes into `out`
 * (NULL: discarded). It dies with the thread that waits for it. A status other than 0 is
 * ERR_INTERNAL with the last line of its stderr. */
int spawn_run(const char *const *argv, struct str input, struct buf *out, struct err *err);

#endif
