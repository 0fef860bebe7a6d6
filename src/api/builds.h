/* Builds as the API sees them: made, followed, cancelled. */
#ifndef API_BUILDS_H
#define API_BUILDS_H

#include "api/change.h"
#include "http/stream.h"

char *build_folder(const struct config *c, const char *id); /* the caller's */
/* An id that sorts behind all before, "01k5a9w3f0x7q2". The caller's. */
char *build_id_new(void);
/* Asks for its end; nothing if it has ended. */
void build_cancel(struct api *api, const char *id);

/* The first branch whose push was built becomes the deploy branch; later calls change nothing. */
void app_settle_branch(struct api *api, const char *app, const char *branch);

/* In follow.c. The build's output, and with `release` what becomes of its release too. leash: the
 * end of the connection cancels the build. */
void build_follow(struct request *rq, const char *id, bool release, bool leash);

#endif
