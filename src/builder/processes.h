/* What an app runs and needs, put together from its Procfile, the defaults of its buildpacks and
 * app.json. Pure. */
#ifndef BUILDER_PROCESSES_H
#define BUILDER_PROCESSES_H

#include "model/procfile.h"

/* The processes of a Procfile into *ret (list of struct process); with none (ptr NULL) those of
 * `defaults` (type → command). ERR_INVALID names line and column. */
int processes_list(struct str procfile, const struct map *defaults, struct list *ret,
                   struct err *err);
/* ERR_UNPROCESSABLE when nothing of it runs all the time. */
int processes_check(const struct list *processes, struct err *err);
/* Completes them by app.json: scripts.predeploy goes into the release phase, before its own
 * command; scripts.postdeploy becomes the process type "postdeploy"; formation and healthchecks.
 * `warnings` gets a line for each thing that was ignored. ERR_UNPROCESSABLE when nothing runs. */
int processes_complete(const struct app_json *app, struct list *processes, struct strv *warnings,
                       struct err *err);
const struct process *processes_find(const struct list *l, const char *type); /* NULL: none */
void processes_release(struct list *l);

/* The config variables app.json asks for and `have` lacks, generated secrets included.
 * ERR_UNPROCESSABLE names those that somebody has to set. */
int env_wishes(const struct app_json *app, const struct map *have, struct map *ret,
               struct err *err);

#endif
