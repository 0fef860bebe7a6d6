/* What the steps of one build share. */
#ifndef BUILDER_WORK_H
#define BUILDER_WORK_H

#include "builder/job.h"
#include "builder/record.h"
#include "builder/source.h"
#include "builder/stack.h"
#include "model/procfile.h"

struct work {
    const struct config *config;
    struct image_store *images;
    const struct job_input *in;
    const struct cancel *cancel;
    struct job_result *result;
    struct output out;
    char *cache;     /* the app's folder */
    struct map vars; /* the app's, and those app.json has just asked for */
    struct source source;
    struct app_json app;
    bool procfile;              /* there is one, and its processes are in the result */
    struct record last, record; /* of the build before, and of this one */
};

static inline struct stacks work_stacks(struct work *w)
{
    return (struct stacks){
        .config = w->config, .images = w->images, .cancel = w->cancel, .out = &w->out};
}

static inline void work_warn(struct work *w, const struct strv *warnings)
{
    for (size_t i = 0; i < warnings->n; i++)
        output_warning(&w->out, "%s", warnings->items[i]);
}

/* Each makes result->image, and the processes that buildpacks or image name if there is no
 * Procfile. */
int build_by_buildpacks(struct work *w, struct err *err);
int build_by_dockerfile(struct work *w, const char *file, struct err *err);
int build_by_image(struct work *w, struct err *err);

#endif
