/* One run of buildpacks over a source tree, in one container: detect, compile and release of each,
 * in order (the classic interface; docs/buildpacks.md). */
#ifndef BUILDER_COMPILE_H
#define BUILDER_COMPILE_H

#include "builder/site.h"
#include "builder/stage.h"

struct compile {
    const struct config *config;
    struct image_store *images;
    const struct cancel *cancel;
    struct output *out;
    const char *id;                /* of the build */
    const char *app, *commit;      /* for the environment; commit may be empty */
    const struct strv *layers;     /* the root, the source's layer on top */
    const struct list *buildpacks; /* of struct buildpack */
    const struct map *vars;        /* config variables, as files in ENV_DIR */
    const struct site *site;       /* for the buildpack `static`, or NULL */
    const struct map *facts;       /* for our own buildpacks: build/stage.h */
    const char *cache;             /* folder that stays from build to build */
};

struct compiled {
    char *title;          /* what the last buildpack calls the app: "Node.js" */
    char *diff_id;        /* of what compiling wrote; NULL if that is nothing */
    struct map processes; /* type → command, from bin/release */
    struct map env;       /* config_vars of bin/release: defaults in the image */
    bool depends_known;   /* every buildpack said what its result depends on: */
    struct strv depends; /* paths; "?path": only whether it is there, and as what; "$NAME": a config
     variable, "$*": all of them */
};

void compiled_release(struct compiled *c);
/* ERR_UNPROCESSABLE "failed to compile Node.js app" when a buildpack failed; what it said is in the
 * output. */
int compile_run(const struct compile *c, struct compiled *ret, struct err *err);

/* Parses what bin/release printed: default_process_types and config_vars. Pure. */
int release_yaml_parse(struct str text, struct map *processes, struct map *env, struct err *err);

/* What one more buildpack says of the image's environment; its PATH goes before that of those
 * before it, which need theirs too. Pure. */
void env_merge(struct map *ret, const struct map *more);

#endif
