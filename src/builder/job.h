/* One build, from what was sent to an image: the blocking work of the operator, done by a worker
 * thread on owned copies. It reads and writes the image store and its own folders, never the store.
 */
#ifndef BUILDER_JOB_H
#define BUILDER_JOB_H

#include "builder/container.h"
#include "model/nouns.h"

struct job_input {
    struct build build;
    struct map vars; /* the app's config variables */
};

struct job_result {
    int state;             /* BUILD_SUCCEEDED, _FAILED or _CANCELLED */
    char *error;           /* of a failure: what `git push` shows behind "Push rejected, " */
    char *image;           /* of a success: manifest digest */
    struct list processes; /* of struct process */
    struct map new_vars;   /* config variables app.json asks for */
};

void job_input_release(struct job_input *in);
void job_result_release(struct job_result *r);

/* Does it. Everything the pusher should know is in the build's output.log after. */
void job_run(const struct config *c, struct image_store *images, const struct job_input *in,
             const struct cancel *cancel, struct job_result *ret);

/* The folders of a build and of an app's cache; the caller's to free. */
char *job_dir(const struct config *c, const char *id);
char *job_cache_dir(const struct config *c, const char *app);

#endif
