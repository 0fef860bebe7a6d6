/* The git checkout we stand in. */
#ifndef CLI_CHECKOUT_H
#define CLI_CHECKOUT_H

#include "base/str.h"

/* URL of the remote `davit`, the caller's; NULL: no checkout, or no such remote. */
char *checkout_remote(void);
/* The app a remote's URL names: the last component of its path without ".git". NULL: none. */
char *checkout_app(const char *remote);
bool checkout_is_one(const char *dir); /* "." for here */
/* HEAD of the checkout, the caller's; NULL if something differs from it, or there is none. */
char *checkout_clean_commit(const char *dir);
/* Adds or changes the remote `davit`, has the checkout's configuration include `gitconfig`, and has
 * git ask `helper` for the credentials of its host where those in there don't do. */
int checkout_set_remote(const char *url, const char *helper, const char *gitconfig,
                        struct err *err);

#endif
