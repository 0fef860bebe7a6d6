/* What store.c asks of a backend; private to this room. A backend is a table of operations, picked
 * by the scheme of the url. Its structs begin with `struct store` and `struct watch`. Keys,
 * prefixes and transactions it is given have passed validation. */
#ifndef STORE_BACKEND_H
#define STORE_BACKEND_H

#include "store/store.h"

struct store {
    const struct store_ops *ops;
    store_check_fn *check; /* NULL: none */
    const char *who;
};

struct watch {
    struct store *store;
    int fd;
};

struct store_ops {
    const char *scheme;
    /* `rest` is the url behind "scheme://". */
    int (*open)(const char *rest, struct store **ret, struct err *err);
    void (*close)(struct store *s);
    int (*get)(struct store *s, const char *key, struct kv *ret, struct err *err);
    int (*list)(struct store *s, const char *const *prefixes, struct kv_list *ret, struct err *err);
    int (*revision)(struct store *s, int64_t *ret, struct err *err);
    /* Carries out n transactions durably. results[i] is what became of txns[i] (0, -ERR_CONFLICT,
     * -ERR_NOT_FOUND for a lease that is gone), err then explains the last that failed. Negative
     * only if none was carried out. */
    int (*commit)(struct store *s, const struct txn *txns, size_t n, int *results,
                  int64_t *ret_revision, struct err *err);
    int (*watch)(struct store *s, const char *const *prefixes, int64_t from, struct watch **ret,
                 struct err *err);
    int (*watch_next)(struct watch *w, struct kv *ret, struct err *err);
    int64_t (*watch_revision)(const struct watch *w);
    void (*watch_close)(struct watch *w);
    int (*compact)(struct store *s, int64_t revision, struct err *err);
    int (*lease_grant)(struct store *s, int64_t ttl_s, int64_t *ret_lease, struct err *err);
    int (*lease_keepalive)(struct store *s, int64_t lease, struct err *err);
    int (*lease_revoke)(struct store *s, int64_t lease, struct err *err);
};

extern const struct store_ops store_sqlite;

enum txn_op_type { TXN_EXPECT, TXN_PUT, TXN_DELETE, TXN_DELETE_PREFIX };

struct txn_op {
    enum txn_op_type type;
    char *key; /* or prefix */
    char *value;
    size_t value_len;
    int64_t mod_rev; /* of TXN_EXPECT */
    int64_t lease;   /* of TXN_PUT */
};

/* The limits and rules of store.h. `what` is "key" or "prefix". */
int key_check(const char *key, const char *what, struct err *err);
int txn_check(const struct txn *t, struct err *err);
/* The first key behind all that start with `prefix`: prefix <= key < end. The caller frees it. */
char *prefix_end(const char *prefix);

#endif
