/* Who is asking, and what they may. */
#ifndef API_AUTH_H
#define API_AUTH_H

#include "api/api.h"
#include "http/identity.h"

enum { TOKEN_BYTES = 32, TOKEN_HASH_LEN = 64, TOKEN_ID_LEN = 12 };

/* The sockets, as httpd_listen numbers them. */
enum door_number {
    DOOR_LOCAL,   /* run/davit/davit.sock: peer credentials or a token */
    DOOR_GATEWAY, /* run/davit/gateway-api.sock: a token, always */
};

/* A token (Authorization: Bearer TOKEN, or Basic with the token as the password) or, on the local
 * socket, the peer's uid: root is user root; ourselves too, and may act for somebody else by the
 * header Davit-On-Behalf-Of (git's hook does); any other local user is whom /users/NAME says.
 * ERR_UNAUTHENTICATED, ERR_FORBIDDEN. */
int authenticate(void *api, struct request *rq, struct identity *ret, struct err *err);

/* Whether they might still do what they were let in for. Until a token ends there is another pass
 * at the time it does. */
bool identity_holds(void *api, const struct identity *who);

/* What /tokens/ is keyed by. */
void token_hash(struct str token, char ret[TOKEN_HASH_LEN + 1]);
/* The token inside an Authorization header, the caller's; NULL if there is none. Pure. */
char *token_from_header(const char *authorization);

#endif
