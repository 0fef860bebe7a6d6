/* Destroying apps. One transaction takes the app out of the store and leaves /remains/A/OPERATOR
 * for each operator, which removes what is its own; the api goes last. */
#ifndef API_REMAINS_H
#define API_REMAINS_H

#include "api/change.h"

/* Inside a change that makes an app: ERR_UNAVAILABLE while something of a former one of that name
 * is left. */
int remains_check(struct change *c, const char *app, struct err *err);
/* In each pass: removes what is the api's of apps the other operators are done with. */
void remains_pass(struct api *api);

/* "run, build": which operators are not done with that app; the api's turn is last, and it is named
 * when it is. NULL: nothing is left. The caller's. */
char *remains_wait_for(struct api *api, const char *app);

#endif
