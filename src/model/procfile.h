/* Procfile and app.json: what an app says of itself. Pure parsers; errors carry line and column. */
#ifndef MODEL_PROCFILE_H
#define MODEL_PROCFILE_H

#include "model/nouns.h"

enum { PROCFILE_MAX = 64 * 1024, APP_JSON_MAX = 256 * 1024 };

/* Lines `TYPE: COMMAND`, blank lines and `#` comments; a duplicate type is an error:
 * "Procfile, line 3, column 1: …". Adds to `ret` (list of struct process). */
int procfile_parse(struct str text, struct list *ret, struct err *err);

/* A variable app.json asks for. */
struct env_wish {
    char *name, *description, *value;
    bool required;        /* defaults to true for the object form without a value */
    bool generate_secret; /* 64 hex characters, made once */
};

struct app_json {
    struct list env; /* of struct env_wish */
    struct counts formation;
    struct strv buildpacks; /* URLs, #ref suffix kept */
    char *predeploy,
        *postdeploy; /* scripts.dokku.predeploy / scripts.postdeploy: shell commands, or NULL */
    struct process_checks {
        char *type;
        struct list checks; /* of struct check */
    } * checks;
    size_t n_checks;
    struct strv warnings; /* a line for each field that changes nothing */
};

void app_json_release(struct app_json *a);
/* What is no field, or none of ours, makes a warning; wrong types and values are errors naming line
 * and column, or the field. Comments as in model/json_file.h. */
int app_json_parse(struct str text, struct app_json *ret, struct err *err);

#endif
