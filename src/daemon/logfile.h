/* davitd.log: what all operators and the parent write to their stderr comes through one pipe and is
 * kept in one file, rotated by size to davitd.log.1, .2 … as the settings say. */
#ifndef DAEMON_LOGFILE_H
#define DAEMON_LOGFILE_H

#include <stdbool.h>

#include "model/config.h"

struct logfile;

/* echo: every line goes to our present stderr too. */
int logfile_open(const struct config *c, bool echo, struct logfile **ret, struct err *err);
void logfile_free(struct logfile *l);
DEFINE_CLEANUP(struct logfile *, logfile_free)

/* The end children write to; theirs may block. */
int logfile_pipe(const struct logfile *l);
/* From here on our own stderr goes into the pipe too, without ever blocking. stdin and stdout
 * become /dev/null. */
void logfile_take_stderr(struct logfile *l);
/* Polls readable when logfile_pump has something to do. */
int logfile_fd(const struct logfile *l);
/* Moves what is in the pipe into the file; never blocks. */
void logfile_pump(struct logfile *l);

#endif
