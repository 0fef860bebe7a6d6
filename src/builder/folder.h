/* The folder of a build, builds/ID, in which user davit may write as well as we. */
#ifndef BUILDER_FOLDER_H
#define BUILDER_FOLDER_H

#include "model/config.h"

/* Opens the file `name` in it; the folder is made if it is missing. */
int folder_open(const struct config *c, const char *id, const char *name, int flags,
                struct err *err);
/* Removes the file `name` from it, if it is there. */
void folder_forget(const struct config *c, const char *id, const char *name);

#endif
