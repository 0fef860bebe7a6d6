/* What the files of this room know of each other. */
#ifndef GIT_INTERNAL_H
#define GIT_INTERNAL_H

#include "git/git.h"

struct git {
    struct git_options options;
    struct upkeep *upkeep;
};

static inline struct git *git_of(const struct request *rq) { return rq->ctx; }

#endif
