/* Reaping a child by its pidfd (see pidfd_open(2); <sys/pidfd.h> opens and signals). */
#ifndef OS_PIDFD_H
#define OS_PIDFD_H

/* Reaps the child if it has ended, without waiting: 1, its exit status 0–255 or 128+signal in
 * *ret_status, and the signal that ended it, or 0, in *ret_signal. 0 if it still runs; -1 with
 * errno. */
int pidfd_reap(int pidfd, int *ret_status, int *ret_signal);

#endif
