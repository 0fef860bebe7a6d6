/* An app's bare repository, <state>/git/APP.git. */
#ifndef GIT_REPO_H
#define GIT_REPO_H

#include "model/config.h"

/* Stands for those of apps that aren't there yet; no app is called so. */
#define REPO_EMPTY ".empty"

char *repo_path(const struct config *c, const char *app); /* the caller's */
/* Makes it if it isn't there; whole or not at all. */
int repo_make(const struct config *c, const char *app, struct err *err);
int repo_remove(const struct config *c, const char *app, struct err *err);
/* Removes git's locks from before the machine was booted: nobody holds them, and git would refuse
 * to move the branch of a push that is deployed already. */
void repos_unlock(const struct config *c);

#endif
