/* The nouns of the platform, what lies in the store. Each is one table, model/tbl/NOUN.h, and one
 * line in model/tbl/all.h, the manual of the tables: from its rows come struct, schema, key, the
 * names of enums, documentation, and who may write it. Times are RFC 3339 texts
 * in UTC. All of a struct is released by _cleanup_(NOUN_release). */
#ifndef MODEL_NOUNS_H
#define MODEL_NOUNS_H

#include "model/codec.h"

/* clang-format off */
#define ENUM(enum_name) enum enum_name {
#define VALUE(value, text, doc) value,
#define END_ENUM(enum_name) }; extern const char *const enum_name##_names[];

#define TYPE_STRING char *
#define TYPE_INT int64_t
#define TYPE_BOOL bool
#define TYPE_STRV struct strv
#define TYPE_MAP struct map
#define TYPE_COUNTS struct counts
#define NOUN(noun, doc) struct noun {
#define FIELD(noun, kind, member, doc) TYPE_##kind member;
#define CHOICE(noun, enum_name, member, doc) int member;
#define LIST(noun, of, member, doc) struct list member;
#define END(noun) };                                                                              \
    extern const struct schema noun##_schema;                                                     \
    static inline void noun##_release(struct noun *value) { model_release(&noun##_schema, value); }
#include "model/tbl/all.h"

/* A new string, the caller's. */
#define KEY(noun, format, params, ...) char *key_##noun params;
#include "model/tbl/all.h"
/* clang-format on */

/* All of them, ended by NULL. */
extern const struct schema *const nouns[];

enum { KEY_PARAMS_MAX = 3 };
/* Whether a key is of that noun. parts[] (may be NULL) gets the key's parameters in their order,
 * views into key. */
bool key_is(const struct schema *noun, const char *key, struct str *parts);
/* What all keys of a noun begin with; with `first`, all whose first parameter is that. A new
 * string, the caller's. */
char *key_prefix(const struct schema *noun, const char *first);
/* What all keys below this one begin with. A new string, the caller's. */
char *key_below(const char *key);
/* Appends how a noun's keys look: "/apps/APP/releases/NUMBER". */
void key_describe(const struct schema *noun, struct buf *ret);

/* Types the platform itself runs, once each release: "release" before it goes live (the release
 * phase), "postdeploy" behind that. They can't be scaled. */
#define RELEASE_PHASE "release"
#define POSTDEPLOY "postdeploy"
bool process_type_is_phase(const char *type);

const struct process *release_process(const struct release *r, const char *type); /* NULL: none */
/* Which of an app's releases keep their images: the newest `retain` that did not fail, `current`,
 * and all after it. numbers and states (enum release_state) are in ascending order of number; sets
 * keep[i]. */
void releases_retained(const int64_t *numbers, const int *states, size_t n, int64_t current,
                       int64_t retain, bool *keep);

/* Whether a build has come to its end. s: NULL while it has no status. */
bool build_is_finished(const struct build_status *s);

/* Of all apps together; of one app one after the other, in the order of ids. */
enum { BUILDS_AT_ONCE = 2 };

/* The operators that have something to remove of a destroyed app, in their order; ended by NULL. */
extern const char *const remains_operators[];

#endif
