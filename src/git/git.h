/* Git over HTTP, smart protocol only:
 *
 *     GET  /git/APP.git/info/refs?service=git-receive-pack|git-upload-pack
 *     POST /git/APP.git/git-receive-pack | git-upload-pack
 *
 * git's own programs do the work, started without `git http-backend` in between: it would only
 * translate what we know already, for 1.4 ms more a request. Bodies pass through pipes in both
 * directions, a piece at a time. When the client goes, so does git, with the hook and everything
 * else in its process group.
 *
 * Pushing needs role developer and creates the app; fetching needs role viewer. */
#ifndef GIT_GIT_H
#define GIT_GIT_H

#include "http/request.h"

/* Decides what the request wants and sets where its body goes. */
int git_open(struct request *rq, struct err *err);

#endif
