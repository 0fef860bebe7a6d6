/* One log of an app: its current file and those it was rotated to (web.1.log, web.1.log.1, …), read
 * line by line in both directions as if they were one. Files are opened as the reading gets to
 * them, and stay open when they are rotated meanwhile. Holds one block, whatever their sizes. */
#ifndef LOG_CHAIN_H
#define LOG_CHAIN_H

#include <stdbool.h>

#include "base/str.h"

struct log_chain;
/* Of DIR/NAME.log, which may be missing yet; at the start of that file. */
struct log_chain *log_chain_new(const char *dir, const char *name);
void log_chain_free(struct log_chain *c);
void log_chain_to_end(struct log_chain *c);   /* of the current file */
void log_chain_to_start(struct log_chain *c); /* of the oldest */

/* Looks at the line before or after our place without leaving it; *ret is valid until the next
 * look. False: there is none (behind the last: none yet). */
bool log_chain_back(struct log_chain *c, struct str *ret);
bool log_chain_forward(struct log_chain *c, struct str *ret);
void log_chain_go(struct log_chain *c);   /* beyond the line looked at last */
void log_chain_turn(struct log_chain *c); /* before looking the other way */

#endif
