/* Buildpacks from elsewhere: git repositories and tarballs. */
#ifndef BUILDER_FETCH_H
#define BUILDER_FETCH_H

#include "builder/cage.h"
#include "image/image.h"
#include "model/config.h"

/* Fetches what `name` says, "https://host/pack.git#v1", "https://host/pack.tgz",
 * into a folder below `dir` (the app's own, one build at a time) and returns its path, the
 * caller's. When the source can't be reached, what was fetched before is good, with a warning. */
int fetch_buildpack(const struct config *c, struct image_store *images, const char *dir,
                    const char *name, const struct cancel *cancel, struct output *out, char **ret,
                    struct err *err);

/* Its parts: *ret_url and *ret_ref ("HEAD" if it names none) are the caller's. ERR_UNPROCESSABLE
 * for what is no URL that can be fetched from: https:// only, and http:// from what the setting
 * build_services names. Pure. */
int buildpack_url(const struct config *c, const char *name, char **ret_url, char **ret_ref,
                  struct err *err);

/* The first words of a command line: curl, quiet, with these protocols only ("=https"). It follows
 * redirects wherever they lead, so it runs as one of the users whom build/firewall.h keeps off this
 * machine, and who may read nothing of it. */
void fetch_curl(const struct config *c, const char *protocols, struct strv *ret);
/* Makes the empty file that it may write to. */
int fetch_target(const struct config *c, const char *path, struct err *err);

#endif
