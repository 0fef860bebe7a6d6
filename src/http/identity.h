/* Who is asking, and what they may. */
#ifndef HTTP_IDENTITY_H
#define HTTP_IDENTITY_H

#include "model/nouns.h"

struct identity {
    char *user;
    char *from;             /* "unix:uid=0", or the address the gateway saw */
    char *token;            /* its key in the store; NULL: known by uid */
    enum role role, needed; /* what they have, and the most that was asked for */
    bool machine;           /* root of this machine, whatever the store says */
    bool behalf;            /* ourselves ask for them, from within a request of theirs */
};

void identity_release(struct identity *who);
/* ERR_FORBIDDEN unless the role is at least `least`. */
int identity_need(struct identity *who, enum role least, struct err *err);

#endif
