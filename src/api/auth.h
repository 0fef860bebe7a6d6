/* Who is asking, and what they may. */
#ifndef API_AUTH_H
#define API_AUTH_H

#include "api/api.h"

enum { TOKEN_BYTES = 32, TOKEN_HASH_LEN = 64, TOKEN_ID_LEN = 12 };

struct identity {
    char *user;
    char *from;             /* "unix:uid=0", or the address the gateway saw */
    char *token;            /* its key in the store; NULL: known by uid */
    enum role role, needed; /* what they have, and the most that was asked for */
    bool machine;           /* root of this machine, whatever the store says */
    bool behalf;            /* ourselves ask for them, from within a request of theirs */
};

struct request;

/* A token (Authorization: Bearer TOKEN, or Basic with the token as the password) or, on the local
 * socket, the peer's uid: root is user root; ourselves too, and may act for somebody else by the
 * header Davit-On-Behalf-Of (git's hook does); any other local user is whom /users/NAME says.
 * ERR_UNAUTHENTICATED, ERR_FORBIDDEN. */
int authenticate(struct request *rq, struct identity *ret, struct err *err);
void identity_release(struct identity *who);
/* ERR_FORBIDDEN unless the role is at least `least`. */
int identity_need(struct identity *who, enum role least, struct err *err);

/* Whether they might still do what they were let in for. Until a token ends there is another pass
 * at the time it does. */
bool identity_holds(struct api *api, const struct identity *who);

/* What /tokens/ is keyed by. */
void token_hash(struct str token, char ret[TOKEN_HASH_LEN + 1]);
/* The token inside an Authorization header, the caller's; NULL if there is none. Pure. */
char *token_from_header(const char *authorization);

#endif
