/* What handlers look up again and again, from the mirror; pointers are the mirror's, valid until
 * the loop goes on. */
#ifndef API_VIEW_H
#define API_VIEW_H

#include "api/api.h"

const struct app *view_app(struct api *api, const char *app); /* NULL: none */
/* The app of {app} in the path. ERR_NOT_FOUND, ERR_INVALID. */
int request_app(struct request *rq, const struct app **ret, struct err *err);
const struct desired *view_desired(struct api *api, const char *app);            /* NULL: none */
const struct release *view_release(struct api *api, const char *app, int64_t n); /* NULL: none */
const struct release_status *view_release_status(struct api *api, const char *app, int64_t n);
/* Whether the gateway sends the app's requests to instances of release n, and to no older one. */
bool view_is_routed(struct api *api, const char *app, int64_t n);
const struct build *view_build(struct api *api, const char *id);
const struct build_status *view_build_status(struct api *api, const char *id);
/* What is current (model/current.h); NULL: nothing was deployed, or there are no variables. */
const struct release *view_current(struct api *api, const char *app);
const struct config_vars *view_config(struct api *api, const char *app);
/* How many instances of each type there should be, the release phase left out. */
void view_formation(struct api *api, const char *app, struct counts *ret);

/* http://shop.localhost:8080 and http://api.localhost:8080/git/shop.git; the caller's. */
char *view_url(const struct config *c, const char *app);
char *view_git_url(const struct config *c, const char *app);
/* The same as view_url, but "" for an app that was deployed and has no web process. */
char *view_web_url(struct api *api, const char *app);

#endif
