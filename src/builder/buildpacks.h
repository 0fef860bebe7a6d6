/* Which buildpacks build an app: those its .buildpacks or app.json name, else ours for its
 * language.
 */
#ifndef BUILDER_BUILDPACKS_H
#define BUILDER_BUILDPACKS_H

#include "builder/compile.h"
#include "builder/language.h"
#include "builder/site.h"
#include "model/procfile.h"

struct choice {
    struct list packs;               /* of struct buildpack; dir is NULL until fetched */
    const struct language *detected; /* NULL: the app names its buildpacks */
    struct site site;                /* of `static`, if that is among them */
    bool has_site;
    bool runs_nothing; /* surely none of them says what to run: that is the Procfile's to do */
    char digest[65];   /* of names, of the contents of ours, of the site's configuration */
};

/* One of ours by its name ("nodejs", "davit/nodejs"), or by that of the one it stands in for
 * ("heroku/nodejs"); NULL if it comes from elsewhere. */
const struct language *buildpack_ours(const char *name);

void choice_release(struct choice *c);
/* Whether the app names any: .buildpacks, else app.json. */
int buildpacks_named(const char *dir, const struct app_json *app, bool *ret, struct err *err);
/* For the tree in `dir`. ERR_UNPROCESSABLE "no known language" with what is looked for; ERR_INVALID
 * for a static.json that is wrong. `warnings` gets what in it changes nothing. */
int buildpacks_choose(const struct config *c, const char *dir, const struct app_json *app,
                      struct choice *ret, struct strv *warnings, struct err *err);
/* Sets their dirs; those from elsewhere are fetched into folders below `dir`. */
int buildpacks_fetch(const struct config *c, struct image_store *images, const char *dir,
                     struct choice *choice, const struct cancel *cancel, struct output *out,
                     struct err *err);

#endif
