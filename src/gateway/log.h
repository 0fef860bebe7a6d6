/* The router log: HAProxy writes one line a request into a pipe, we give it its final form and
 * append it to the app's router.log.
 *
 * The pipe is a FIFO that HAProxy itself holds open at both ends, so it neither blocks nor breaks
 * when the operator is away: what fits waits in the pipe, what doesn't is dropped. */
#ifndef GATEWAY_LOG_H
#define GATEWAY_LOG_H

#include "model/config.h"

/* A descriptor to write to, to be HAProxy's stdout. */
int log_pipe_for_writer(int dir_fd, struct err *err);
/* A non-blocking one to read from. */
int log_pipe_for_reader(int dir_fd, struct err *err);

struct router_log;
/* exists: whether there is that app; lines of others are dropped: what a destroyed one was asked
 * last must not be in the log of another of its name. */
struct router_log *router_log_new(const struct config *c, int pipe_fd,
                                  bool (*exists)(void *ctx, struct str app), void *ctx);
void router_log_free(struct router_log *l);
/* Takes in what the pipe holds. Lines get the time they are read at; the pipe wants to be read
 * every few milliseconds while it is readable, not at every line: that would cost a wake-up each.
 */
void router_log_read(struct router_log *l);
/* Writes no more to what is open for that app. */
void router_log_forget(struct router_log *l, const char *app);

#endif
