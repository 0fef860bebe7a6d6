/* A uv_poll_t that may be dropped at any time: libuv keeps its memory until the loop has let go of
 * it. */
#ifndef HTTP_FDWATCH_H
#define HTTP_FDWATCH_H

#include <uv.h>

#include "base/mem.h"

struct fdwatch;

/* Calls `ready` whenever fd has one of `events` (enum uv_poll_event). The descriptor stays the
 * caller's and must outlive the watch. */
struct fdwatch *fdwatch_new(uv_loop_t *loop, int fd, int events, void (*ready)(void *arg),
                            void *arg);
void fdwatch_pause(struct fdwatch *w);
void fdwatch_go_on(struct fdwatch *w);
void fdwatch_free(struct fdwatch *w); /* NULL is fine */

#endif
