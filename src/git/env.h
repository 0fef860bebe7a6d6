/* What git and our hook are told when they run for a request: settings and who is pushing. */
#ifndef GIT_ENV_H
#define GIT_ENV_H

#include "git/internal.h"

/* The whole environment, nothing of our own. shallow: commits where the pusher's history is cut
 * off, a blank after each; "" for none. atomic: refs move together or not at all. */
void git_env(struct request *rq, const char *app, const char *shallow, bool atomic,
             struct strv *ret);

#endif
