/* What `davit login` and git's pushes keep: ~/.config/davit/credentials.json, for our eyes only.
 *     {"default": URL, "tokens": {"https://api.example.com": "…"}} */
#ifndef CLI_CREDENTIALS_H
#define CLI_CREDENTIALS_H

#include <stdbool.h>

#include "base/err.h"

/* `server` is scheme://host[:port]. Strings are the caller's; NULL: there is none. */
/* Beside it stands the same for git, `gitconfig`: with it a push signs in at once, which saves it
 * being turned away first and the credential helper's start, tens of milliseconds of each push.
 * Checkouts include that file, so that no secret lies in them. The caller's. */
char *credentials_gitconfig(void);
char *credentials_token(const char *server);
char *credentials_default(void);
/* token NULL: forgets the server altogether. make_default: what `davit` talks to from now on. */
int credentials_store(const char *server, const char *token, bool make_default, struct err *err);

#endif
