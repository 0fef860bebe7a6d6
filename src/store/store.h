/* The store: what should be and what was observed, and the only door between operators.
 *
 * The contract is etcd's. Keys are absolute paths ("/apps/shop/desired"), values are JSON
 * documents. Every transaction that changes something gets the next 64-bit revision; what store_txn
 * acknowledged survives power loss. A watch sees every committed change once, in order, without a
 * gap.
 *
 * A handle belongs to one thread; several processes may have the same store open. Handles and
 * watches don't survive fork(). */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum {
    STORE_KEY_MAX = 1024,      /* bytes in a key; none below 0x20, nor 0x7f */
    STORE_VALUE_MAX = 1 << 20, /* bytes in a value */
    STORE_OPS_MAX = 1024,      /* compares plus writes in a transaction */
    STORE_TXN_MAX = 5 << 18,   /* bytes of all its keys and values (1.25 MiB) */
    STORE_TTL_MAX = 86400,     /* seconds a lease may last */
};

struct store;

/* `url`: "sqlite:///var/lib/davit/state.db" (made if missing). Other backends have their own
 * schemes. */
int store_open(const char *url, struct store **ret, struct err *err);
void store_close(struct store *s);
DEFINE_CLEANUP(struct store *, store_close)

/* A key and its value at one moment. Strings are owned by whoever holds the struct. */
struct kv {
    char *key;
    char *value; /* NUL-terminated; NULL in an event that says the key was deleted */
    size_t value_len;
    int64_t create_rev; /* revision that made the key */
    int64_t mod_rev;    /* revision of this value */
    int64_t lease;      /* 0: none */
};

void kv_release(struct kv *kv);

struct kv_list {
    struct kv *items; /* prefix by prefix, each sorted by key */
    size_t n;
    int64_t revision; /* the store's revision this list is true at: watch from revision + 1 */
};

void kv_list_release(struct kv_list *l);

/* ERR_NOT_FOUND if there is no such key. */
int store_get(struct store *s, const char *key, struct kv *ret, struct err *err);
/* All keys that start with `prefix`; an empty result is no error. A prefix is bytes, not a folder:
 * end it with a slash where "/apps/shop" should not mean "/apps/shop2". */
int store_list(struct store *s, const char *prefix, struct kv_list *ret, struct err *err);
/* All keys under several prefixes (NULL-terminated, none within another) at one revision. */
int store_list_many(struct store *s, const char *const *prefixes, struct kv_list *ret,
                    struct err *err);
/* The newest revision; 0 for a store nothing was ever written to. */
int store_revision(struct store *s, int64_t *ret, struct err *err);

/* A transaction: if every compare holds, every write is made, else none (ERR_CONFLICT, whose
 * message names the first key that differed). A key that is put may be written only once in a
 * transaction (deletions may overlap). Keys and values are copied. Built on the stack:
 *
 *     _cleanup_(txn_release) struct txn t = {0};
 *     txn_expect(&t, key, kv.mod_rev);
 *     txn_put(&t, key, buf_str(&json), 0);
 *     r = store_txn(s, &t, &revision, err);
 */
struct txn {
    struct txn_op *ops;
    size_t n;
};

void txn_release(struct txn *t);
void txn_expect(struct txn *t, const char *key, int64_t mod_rev); /* 0: the key must not exist */
void txn_put(struct txn *t, const char *key, struct str value, int64_t lease);
void txn_delete(struct txn *t, const char *key);           /* one that is not there is fine */
void txn_delete_prefix(struct txn *t, const char *prefix); /* every key that starts with it */

/* From now on `check` is called with each write of this handle's transactions that would go through
 * as things are, and with what it replaces: for tests of who writes what. ptr NULL: the key is not
 * there, or deleted. */
typedef void store_check_fn(const char *who, const char *key, struct str before, struct str after);
void store_on_write(struct store *s, store_check_fn *check, const char *who);

/* `ret_revision` may be NULL; for a transaction that changed nothing it is the current one.
 * Bad keys or values: ERR_INVALID or ERR_TOO_LARGE, before anything is written; a lease that is
 * gone: ERR_NOT_FOUND. */
int store_txn(struct store *s, const struct txn *t, int64_t *ret_revision, struct err *err);
/* Group commit: each transaction stands or falls alone, all of them share one fsync. `results[i]`
 * is 0 or -code for txns[i]; each sees what those before it wrote. *ret_revision (or NULL) is that
 * of the last. Returns non-zero only if none was carried out. */
int store_txn_many(struct store *s, const struct txn *txns, size_t n, int *results,
                   int64_t *ret_revision, struct err *err);

/* A watch on all keys under `prefix`, from the change with revision `from` on (that one included;
 * 0: from now on). A revision already compacted: ERR_COMPACTED, then or later from watch_next; list
 * again. */
struct watch;
int store_watch(struct store *s, const char *prefix, int64_t from, struct watch **ret,
                struct err *err);
/* The same on several prefixes (NULL-terminated, none within another): their changes come in one
 * order. */
int store_watch_many(struct store *s, const char *const *prefixes, int64_t from, struct watch **ret,
                     struct err *err);
/* Polls readable when watch_next may have something. Owned by the watch. */
int watch_fd(const struct watch *w);
/* 1: `ret` holds the next change (the caller's: kv_release), 0: none for now, negative: error.
 * Deleted keys have value NULL and mod_rev = the revision that deleted them. Changes of one
 * transaction come in the order it wrote them. Never waits for changes. Call until it returns 0:
 * never between two changes of one transaction. */
int watch_next(struct watch *w, struct kv *ret, struct err *err);
/* Up to this revision everything has been returned. After watch_next returned 0 it is, sooner or
 * later, the store's newest, whether that changed a key under the prefixes or not; on SQLite it is
 * at least what was committed before the call. */
int64_t watch_revision(const struct watch *w);
void watch_close(struct watch *w); /* before its store is closed */
DEFINE_CLEANUP(struct watch *, watch_close)

/* Forgets changes up to and including `revision` (at most the newest, else ERR_INVALID); current
 * values stay. What is forgotten is not to be found in the files any more. Backends also compact by
 * themselves; then the last 10,000 revisions are kept at least. */
int store_compact(struct store *s, int64_t revision, struct err *err);

/* Leases: keys put with one vanish once `ttl_s` seconds (1–86400) have passed since its owner's
 * last keepalive, as ordinary deletions that watchers see at once. A put without it lets a key go.
 * ERR_NOT_FOUND from keepalive or revoke: it was lost, its keys with it. */
int store_lease_grant(struct store *s, int64_t ttl_s, int64_t *ret_lease, struct err *err);
int store_lease_keepalive(struct store *s, int64_t lease, struct err *err);
int store_lease_revoke(struct store *s, int64_t lease, struct err *err);

#endif
