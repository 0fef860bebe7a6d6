/* The audit log: /events/N, each with the hash of the one before. Numbers have no gap; the last
 * `retain_events` are kept, and a few more, since older ones go in batches. */
#ifndef API_AUDIT_H
#define API_AUDIT_H

#include "api/change.h"

/* Finds beginning and end of the log; once, at start. */
int audit_find_ends(struct api *api, struct err *err);
/* Moves api->last_event to where the log ends now that others have written to it. */
int audit_catch_up(struct api *api, struct err *err);
/* Adds the event to the change, and takes out what is too old. *ret is the end of the log once it
 * is committed. */
void audit_add(struct change *c, const char *what, const char *app, struct event_head *ret);

#endif
