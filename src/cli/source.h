/* A folder as a tar stream: in a git checkout what git knows or would add (no ignored files, with
 * changes not yet committed), elsewhere everything but .git. GNU tar makes it, beside us. */
#ifndef CLI_SOURCE_H
#define CLI_SOURCE_H

#include <sys/types.h>

#include "base/str.h"

struct source {
    int fd; /* read the tar from here */
    pid_t tar;
    int names_fd; /* the list tar reads */
};
#define SOURCE_INIT ((struct source){.fd = -1, .names_fd = -1})

/* An error names the first file that can't be read; nothing was sent then. */
int source_open(const char *dir, struct source *ret, struct err *err);
/* After the last byte was read: whether tar could read all. */
int source_finish(struct source *s, struct err *err);
/* Ends tar if it still runs. */
void source_close(struct source *s);

#endif
