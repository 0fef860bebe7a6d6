/* The git remote of an app. */
#ifndef CLI_REMOTE_H
#define CLI_REMOTE_H

#include "cli/cli.h"

/* Gives this checkout the remote `davit` of the app, a document of the API, and a way to sign in
 * there; says what to do next. ERR_EXISTS: it has one that leads elsewhere, which stays as it is.
 */
int remote_adopt(struct cli *cli, const json_t *app, struct err *err);

#endif
