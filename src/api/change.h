/* Mutations. A change is a function that reads what it depends on and puts what should be;
 * everything it read is compared when it is committed, together with the audit event. When somebody
 * else was quicker, the function is called again with fresh values. What was committed is in the
 * mirror when change_make returns: who wrote it reads it. */
#ifndef API_CHANGE_H
#define API_CHANGE_H

#include "api/auth.h"

struct change {
    struct api *api;
    const struct identity *who;
    struct txn txn;
    struct strv keys;  /* written */
    struct strv gone;  /* prefixes deleted */
    struct buf detail; /* of the event; the function may add to it */
    char now[64];      /* RFC 3339 */
};

/* 0: commit it; positive: there is nothing to change, write nothing; negative: the error. */
typedef int change_fn(struct change *c, void *arg, struct err *err);

/* what: "app.create"; NULL for housekeeping nobody needs to know of. app: may be NULL. The function
 * may run several times, each time with the app's keys fresh in the mirror; its error ends it. */
int change_make(struct api *api, const struct identity *who, const char *what, const char *app,
                change_fn *fn, void *arg, struct err *err);

/* Reads a key from the store and depends on it. ERR_NOT_FOUND (then it depends on its absence). */
int change_read(struct change *c, const char *key, const struct schema *s, void *ret,
                struct err *err);
/* The key must not exist. */
void change_new(struct change *c, const char *key, const struct schema *s, const void *value);
void change_put(struct change *c, const char *key, const struct schema *s, const void *value);
/* Puts it for as long as this process is alive (operator_lease). */
int change_hold(struct change *c, const char *key, const struct schema *s, const void *value,
                struct err *err);
void change_delete(struct change *c, const char *key);
void change_delete_prefix(struct change *c, const char *prefix);

/* Ourselves, for what nobody asked for: first start, the end of a push's connection. */
extern const struct identity identity_davit;

#endif
