/* static.json, as Heroku's buildpack for static sites has it, as configuration of nginx. Every text
 * in it is quoted: it can name paths, URLs and headers, never a directive. Pure.
 *
 * What is asked for is, in this order: a file; with clean_urls the file with .html behind it, first
 * of all; a folder's index.html; what `redirects` say; what `routes` say; the error page. */
#ifndef BUILDER_SITE_H
#define BUILDER_SITE_H

#include <stdint.h>

#include "base/str.h"

enum { STATIC_JSON_MAX = 256 * 1024 };

struct site {
    char *root;   /* the folder, "." for the whole tree; NULL: static.json does not say */
    char *http;   /* nginx's configuration: what stands in http { … } */
    char *server; /* and in server { … }; without `root` */
};

void site_release(struct site *s);
/* From the text of a static.json; an empty one is a site without. https_port: the gateway's, 0 for
 * none. `warnings` gets a line for each field that changes nothing. ERR_INVALID names line and
 * column, or the field. */
int site_parse(struct str text, int64_t https_port, struct site *ret, struct strv *warnings,
               struct err *err);

#endif
