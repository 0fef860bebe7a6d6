/* A copy in memory of the keys an operator watches, kept true by the watch, decoded at most once a
 * change. */
#ifndef OPERATOR_MIRROR_H
#define OPERATOR_MIRROR_H

#include "model/nouns.h"
#include "store/store.h"

struct mirror;

struct mirror *mirror_new(void);
void mirror_free(struct mirror *m);

/* Takes over the contents of kv (its key and value); an older revision than the one held is
 * ignored. Returns whether anything changed. */
bool mirror_apply(struct mirror *m, struct kv *kv);
/* Forgets every key under prefix whose revision is at most `revision`, before a fresh list is
 * applied. */
void mirror_forget(struct mirror *m, const char *prefix, int64_t revision);

/* The decoded value of a key, NULL if it isn't there or doesn't decode (which is logged once).
 * Owned by the mirror, valid until the key changes. ret_rev (may be NULL) gets its mod_rev, 0 if it
 * isn't there. */
const void *mirror_get(struct mirror *m, const char *key, const struct schema *s, int64_t *ret_rev);

/* The lease of a key, 0 if it has none or isn't there; *ret_rev as above. */
int64_t mirror_lease(struct mirror *m, const char *key, int64_t *ret_rev);

/* Walks a noun in the order of its keys, with `first` only what belongs to that (key_prefix):
 *     for (struct mirror_iter i = mirror_of(m, &release_schema, app); (release = mirror_each(&i));)
 * … or, by mirror_iter, all keys under a prefix: for (struct mirror_iter i = mirror_iter(m,
 * prefix); mirror_next(&i);) if (key_is(&release_schema, i.key, NULL) && (release =
 * mirror_value(&i, &release_schema))) … */
struct mirror_iter {
    struct mirror *mirror;
    const struct schema *noun; /* NULL: any */
    size_t at, end;
    const char *key;
    struct str parts[KEY_PARAMS_MAX]; /* of a noun's key */
    int64_t rev;
};
struct mirror_iter mirror_of(struct mirror *m, const struct schema *noun, const char *first);
struct mirror_iter mirror_iter(struct mirror *m, const char *prefix);
/* Goes on behind that key, be it there or not. */
void mirror_skip(struct mirror_iter *i, const char *key);
bool mirror_next(struct mirror_iter *i);
const void *mirror_value(struct mirror_iter *i, const struct schema *s);
/* The next value of the noun that decodes; NULL: there is none. */
const void *mirror_each(struct mirror_iter *i);

#endif
