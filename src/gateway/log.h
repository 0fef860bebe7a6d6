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

/* The tab-separated fields of a raw line (conf.c's LOG_FORMAT) → the app it belongs to and the
 * final line with its newline, appended to *ret. False: not a request of an app. */
bool log_format_line(struct str raw, struct str *ret_app, struct buf *ret);

struct router_log;
struct router_log *router_log_new(const struct config *c, int pipe_fd);
void router_log_free(struct router_log *l);
/* Takes in what the pipe holds. Call when it is readable; returns when it is empty or `budget`
 * bytes were taken. */
void router_log_read(struct router_log *l, size_t budget);

#endif
