/* What an app runs and needs, put together from its Procfile, the defaults of its buildpacks and
 * app.json. Pure. */
#ifndef BUILD_PROCESSES_H
#define BUILD_PROCESSES_H

#include "model/procfile.h"

/* Fills *ret (list of struct process). `procfile` ptr NULL: there is none, and `defaults` (type →
 * command) count. scripts.predeploy runs before the release phase's own command, as part of it;
 * scripts.postdeploy becomes the process type "postdeploy". `warnings` gets a line for each thing
 * that was ignored. ERR_INVALID for a bad Procfile; ERR_UNPROCESSABLE when nothing is left to run.
 */
int processes_assemble(struct str procfile, const struct map *defaults, const struct app_json *app,
                       struct list *ret, struct strv *warnings, struct err *err);
/* quantity and checks of app.json for the processes there are. */
void processes_apply(const struct app_json *app, struct list *processes, struct strv *warnings);
/* The config variables app.json asks for and `have` lacks, generated secrets included.
 * ERR_UNPROCESSABLE names those that somebody has to set. */
int env_wishes(const struct app_json *app, const struct map *have, struct map *ret,
               struct err *err);

#endif
