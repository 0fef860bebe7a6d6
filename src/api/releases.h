/* Making releases that need no build: config changes and rollbacks. */
#ifndef API_RELEASES_H
#define API_RELEASES_H

#include "api/change.h"
#include "http/request.h"

/* Inside a change: the next release of the app, a copy of release `from` with these differences (0
 * or NULL: as it was), becomes the desired one, and what was left for the next release is dropped
 * unless `config` is given: it holds that already. *ret_number is its number. ERR_UNPROCESSABLE if
 * the image of `from` is gone. */
struct release_from {
    const char *app;
    int64_t from;
    int64_t config;
    const char *description;
};
int release_copy(struct change *c, const struct release_from *r, int64_t *ret_number,
                 struct err *err);

/* The release of {n} ("3" or "v3") in the path. ERR_NOT_FOUND, ERR_INVALID */
int request_release(struct request *rq, const char *app, const struct release **ret,
                    struct err *err);

/* The handler, in follow.c. */
int release_output(struct request *rq, struct err *err);

#endif
