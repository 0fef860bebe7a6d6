/* Packages of the npm registry that hold programs: node itself and npm. */
#ifndef BUILDER_REGISTRY_H
#define BUILDER_REGISTRY_H

#include "model/config.h"

struct registry_package {
    char *version, *url;
    char *integrity; /* "sha512-<base64>" */
};

void registry_package_release(struct registry_package *p);
/* The newest version of `package` in the range; even major versions, which are those with long-term
 * support, are preferred. ERR_NOT_FOUND, ERR_UNAVAILABLE. */
int registry_find(const struct config *c, const char *package, const char *range,
                  struct registry_package *ret, struct err *err);
/* Downloads it to the file `to` and checks that it is what the registry promised. */
int registry_download(const struct config *c, const struct registry_package *p, const char *to,
                      struct err *err);

/* Chooses from the registry's document about a package. Pure. */
int registry_choose(struct str document, const char *range, struct registry_package *ret,
                    struct err *err);

#endif
