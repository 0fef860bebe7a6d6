/* A line of the router log: HAProxy's fields → what users of Heroku know. Pure. */
#ifndef GATEWAY_LOGLINE_H
#define GATEWAY_LOGLINE_H

#include <stdbool.h>

#include "base/str.h"

/* The tab-separated fields of a raw line (conf.c's LOG_FORMAT) → the app it belongs to and the
 * final line with its newline, appended to *b; it begins with `prefix` (log/line.h). False: not a
 * request of an app. */
bool log_format_line(struct str raw, const char *prefix, struct str *ret_app, struct buf *b);

#endif
