/* The git endpoint: git over HTTP, smart protocol only.
 *
 *     GET  /git/APP.git/info/refs?service=git-receive-pack|git-upload-pack
 *     POST /git/APP.git/git-receive-pack | git-upload-pack
 *
 * git's own programs do the work, started without `git http-backend` in between: it would only
 * translate what we know already, for 1.4 ms more a request. Bodies pass through pipes in both
 * directions, a piece at a time. When the client goes, so does git, with the hook and everything
 * else in its process group.
 *
 * Pushing needs role developer and creates the app; fetching needs role viewer. What a push deploys
 * its hooks ask of the API, as clients (hook/). */
#ifndef GIT_GIT_H
#define GIT_GIT_H

#include <uv.h>

#include "http/request.h"
#include "model/config.h"

struct git;

struct git_options {
    uv_loop_t *loop;
    const struct config *config;
    void *ctx; /* for the two below */
    /* The app's deploy branch, "" before its first push. NULL: there is no such app. */
    const char *(*branch)(void *ctx, const char *app);
    /* Makes the app of a first push. ERR_EXISTS */
    int (*create)(void *ctx, const struct identity *who, const char *app, struct err *err);
};

struct git *git_new(const struct git_options *o);
void git_free(struct git *g); /* when the loop runs no more */
/* Its routes, for the server. */
struct route_group git_group(struct git *g);

#endif
