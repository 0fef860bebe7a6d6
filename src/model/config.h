/* The settings of a machine (/etc/davit/davit.conf) and where everything lies, derived from --root.
 */
#ifndef MODEL_CONFIG_H
#define MODEL_CONFIG_H

#include <stdint.h>

#include "base/str.h"

struct config {
#define TEXT(name, standard, help) char *name;
#define NUMBER(name, standard, min, max, help) int64_t name;
#include "model/operators.h"
    char *root;      /* "" for the machine itself */
    char *etc;       /* <root>/etc/davit */
    char *state;     /* <root>/var/lib/davit */
    char *images;    /* <state>/images: the image store */
    char *cache;     /* <root>/var/cache/davit */
    char *run;       /* <root>/run/davit */
    char *log;       /* <root>/var/log/davit */
    char *store_url; /* `store`, or sqlite://<state>/store/state.db */
    char *libexec;   /* helpers: davit-shim, hooks/pre-receive */
    char *data;      /* buildpacks, seccomp profile, error pages */
};

void config_release(struct config *c);
/* Defaults for `root` ("" or an absolute path without a trailing slash), then the settings in
 * `text`: lines `name = value`, '#' comments. Errors name the line: "davit.conf, line 4: …". */
int config_parse(const char *root, struct str text, struct config *ret, struct err *err);
/* <dir>/<the rest>, the caller's. */
char *path_join(const char *dir, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
