/* One push of an app at a time, from here until git has moved the branch: a second one must not
 * deploy what git will then refuse because the branch isn't any more where that pusher saw it. The
 * current folder is the repository. */
#ifndef GIT_HOOK_TURN_H
#define GIT_HOOK_TURN_H

#include "base/str.h"

/* Waits for the pushes before; `tell` is called with a word for the pusher before it does. The turn
 * is over when the process that started us (git receive-pack) has ended, however it does. Returns a
 * descriptor for turn_note. */
int turn_take(void (*tell)(struct str words), struct err *err);
/* What those who wait are told of: the build of this push and whose it is. */
void turn_note(int turn, const char *build, const char *user);
/* The commit the ref is at, the caller's; NULL: it isn't there. */
char *turn_ref(const char *ref);
/* Whether `now`, from turn_ref, is where the pusher saw the ref: `old`, all zeros for nowhere. */
bool turn_is_unmoved(const char *now, const char *old);
/* Whether `commit` descends from `now`, so that moving on to it loses nothing. */
bool turn_contains(const char *commit, const char *now);

#endif
