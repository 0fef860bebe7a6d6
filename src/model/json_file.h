/* JSON that people write by hand: app.json, static.json. Comments (both kinds) and commas behind
 * the last item are allowed, as Dokku allows them; a file of blanks is an empty object. */
#ifndef MODEL_JSON_FILE_H
#define MODEL_JSON_FILE_H

#include <jansson.h>

#include "base/str.h"

/* The object in the file named `file` of at most `max` bytes. Errors name file, line and column. */
int json_file_parse(const char *file, struct str text, size_t max, json_t **ret, struct err *err);

/* A key that an object may have. */
struct json_key {
    const char *name;
    const char *instead; /* it changes nothing here: why, or what to do; NULL: it counts */
};

/* A warning for each key of `o` that is not among `keys` (ended by one without a name), with the
 * one that was probably meant, and for those that change nothing. path: of `o`, "" for the whole
 * file. What is no object has no keys. */
void json_file_keys(const char *file, const char *path, const json_t *o,
                    const struct json_key *keys, struct strv *warnings);

#endif
