/* Images that somebody else describes: a Dockerfile, or a registry. */
#include "builder/dockerfile.h"
#include "builder/imageproc.h"
#include "builder/limits.h"
#include "builder/processes.h"
#include "builder/tree.h"
#include "builder/work.h"

/* The processes of an image that somebody else made: its own, or those of a Procfile.
 * `healthcheck`: what the image itself has no place for, or NULL. */
static int take_image(struct work *w, const char *healthcheck, struct err *err)
{
    struct image i = {0};
    struct list *processes = &w->result->processes;
    int r = image_get(w->images, w->result->image, &i, err);
    if (!r && healthcheck && !i.healthcheck)
        i.healthcheck = xstrdup(healthcheck);
    for (size_t k = 0; !r && k < processes->n; k++)
        image_defaults(&i, list_at(processes, struct process, k));
    if (!r && !processes->n)
        r = image_web_process(&i, list_add(processes, sizeof(struct process)), err);
    image_release(&i);
    return r;
}

int build_by_dockerfile(struct work *w, const char *file, struct err *err)
{
    struct stacks s = work_stacks(w);
    _cleanup_free_ char *healthcheck = NULL;
    int r = dockerfile_build(&(struct dockerfile){.stacks = &s,
                                                  .id = w->in->build.id,
                                                  .app = w->in->build.app,
                                                  .file = file,
                                                  .source = w->source.diff_id,
                                                  .vars = &w->vars},
                             &w->result->image, &healthcheck, err);
    return r ? r : take_image(w, healthcheck, err);
}

int build_by_image(struct work *w, struct err *err)
{
    output_step(&w->out, "Fetching %s", w->in->build.image);
    const struct unpack_limits limits = layer_limits(w->config);
    int r = image_import(w->images, w->in->build.image, &limits, &w->result->image, err);
    return r ? r : take_image(w, NULL, err);
}
