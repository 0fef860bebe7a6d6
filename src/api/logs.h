/* An app's log as it grows, for a stream: a log_reader that wakes it. */
#ifndef API_LOGS_H
#define API_LOGS_H

#include "http/stream.h"
#include "log/reader.h"

struct log_tail;

/* With q->follow the stream is poked whenever there may be more. */
int log_tail_new(struct stream *s, const char *app, const struct log_query *q,
                 struct log_tail **ret, struct err *err);
struct log_reader *log_tail_reader(struct log_tail *t);
void log_tail_free(struct log_tail *t); /* NULL is fine */

#endif
