/* A line of a log, whoever writes it:
 *
 *     2026-09-16T15:13:46.677020+00:00 app[web.1]: message
 *     TIME SOURCE[PROCESS]: MESSAGE
 *
 * Source is `app`, or `davit` for what the platform has to say; of these the process `router` is
 * the gateway. A message may be empty and hold any byte but newline and NUL. */
#ifndef LOG_LINE_H
#define LOG_LINE_H

#include "base/str.h"
#include "base/time.h"

enum {
    LOG_PREFIX_MAX = 128,     /* bytes of all before the message, and a NUL */
    LOG_LINE_CAP = 16 * 1024, /* a reader gets longer lines in pieces */
};

/* A line taken apart; `when` has TIME_TEXT_LEN bytes, texts of it sort by time. */
struct log_line {
    struct str text; /* the whole, without its newline */
    struct str when, source, process, message;
};

/* What goes before a message of now; returns its length. */
size_t log_line_prefix(const char *source, const char *process, char ret[LOG_PREFIX_MAX]);
/* A line of now with its newline; those in the text become blanks. */
void log_line_format(const char *source, const char *process, struct str text, struct buf *ret);
/* False if it doesn't have the form of a line. */
bool log_line_parse(struct str text, struct log_line *ret);

#endif
