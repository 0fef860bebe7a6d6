/* What an image that was not made by buildpacks says of itself, as a process. Pure. */
#ifndef BUILDER_IMAGEPROC_H
#define BUILDER_IMAGEPROC_H

#include "image/image.h"
#include "model/nouns.h"

/* The web process of the image: ENTRYPOINT and CMD, the first TCP port of EXPOSE, USER, WORKDIR,
 * STOPSIGNAL and HEALTHCHECK, into *ret, which is zeroed. ERR_UNPROCESSABLE when it has nothing to
 * run. */
int image_web_process(const struct image *i, struct process *ret, struct err *err);
/* Sets what a process that runs a command of a Procfile in such an image takes from it. */
void image_defaults(const struct image *i, struct process *p);

#endif
