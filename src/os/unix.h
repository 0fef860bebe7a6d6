/* Unix stream sockets at paths of any length (sockaddr_un holds only 107 bytes: longer ones go
 * through /proc/self/fd). */
#ifndef OS_UNIX_H
#define OS_UNIX_H

#include <sys/types.h>

#include "base/err.h"

/* A listening, non-blocking socket of that mode; a file left behind there is replaced. Returns the
 * descriptor, O_CLOEXEC. */
int unix_listen(const char *path, mode_t mode, struct err *err);
/* A connected, blocking socket. Returns the descriptor, O_CLOEXEC. */
int unix_connect(const char *path, struct err *err);

#endif
