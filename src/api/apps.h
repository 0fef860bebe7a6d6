/* Making and destroying apps. */
#ifndef API_APPS_H
#define API_APPS_H

#include "api/api.h"

/* The change behind `davit apps create` and a first push. */
int app_create(struct api *api, const struct identity *who, const char *name, struct err *err);
/* The handler, in remains.c. */
int apps_destroy(struct request *rq, struct err *err);

#endif
