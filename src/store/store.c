/* The door: checks what comes in and hands it to the backend that the url named. */
#include "store/backend.h"

static const struct store_ops *const backends[] = {&store_sqlite};

int store_open(const char *url, struct store **ret, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(backends); i++) {
        size_t n = strlen(backends[i]->scheme);
        if (strncmp(url, backends[i]->scheme, n) == 0 && strncmp(url + n, "://", 3) == 0)
            return backends[i]->open(url + n + 3, ret, err);
    }
    err_set(err, ERR_INVALID, "the store's url \"%s\" is of no kind that is known", url);
    return err_hint(err, "use sqlite:///PATH/state.db");
}

void store_close(struct store *s)
{
    if (s)
        s->ops->close(s);
}

void kv_release(struct kv *kv)
{
    free(kv->key);
    free(kv->value);
    *kv = (struct kv){0};
}

void kv_list_release(struct kv_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        kv_release(&l->items[i]);
    free(l->items);
    *l = (struct kv_list){0};
}

int store_get(struct store *s, const char *key, struct kv *ret, struct err *err)
{
    int r = key_check(key, "key", err);
    return r < 0 ? r : s->ops->get(s, key, ret, err);
}

static int prefixes_check(const char *const *prefixes, struct err *err)
{
    int r = 0;
    for (size_t i = 0; !r && prefixes[i]; i++)
        r = key_check(prefixes[i], "prefix", err);
    return r;
}

int store_list_many(struct store *s, const char *const *prefixes, struct kv_list *ret,
                    struct err *err)
{
    int r = prefixes_check(prefixes, err);
    return r < 0 ? r : s->ops->list(s, prefixes, ret, err);
}

int store_list(struct store *s, const char *prefix, struct kv_list *ret, struct err *err)
{
    return store_list_many(s, (const char *const[]){prefix, NULL}, ret, err);
}

int store_revision(struct store *s, int64_t *ret, struct err *err)
{
    return s->ops->revision(s, ret, err);
}

/* --- writing --------------------------------------------------------------------------------- */

void store_on_write(struct store *s, store_check_fn *check, const char *who)
{
    s->check = check;
    s->who = who;
}

static bool still_as_expected(struct store *s, const struct txn *t)
{
    for (size_t i = 0; i < t->n; i++) {
        _cleanup_(kv_release) struct kv kv = {0};
        if (t->ops[i].type != TXN_EXPECT)
            continue;
        int r = s->ops->get(s, t->ops[i].key, &kv, NULL);
        if ((r < 0 && r != -ERR_NOT_FOUND) || kv.mod_rev != t->ops[i].mod_rev)
            return false;
    }
    return true;
}

static void check_op(struct store *s, const struct txn_op *op)
{
    _cleanup_(kv_list_release) struct kv_list below = {0};
    _cleanup_(kv_release) struct kv kv = {0};
    if (op->type == TXN_DELETE_PREFIX) {
        s->ops->list(s, (const char *const[]){op->key, NULL}, &below, NULL);
    } else if (op->type != TXN_EXPECT) {
        s->ops->get(s, op->key, &kv, NULL);
        s->check(s->who, op->key, (struct str){kv.value, kv.value_len},
                 (struct str){op->value, op->value_len});
    }
    for (size_t i = 0; i < below.n; i++)
        s->check(s->who, below.items[i].key,
                 (struct str){below.items[i].value, below.items[i].value_len}, (struct str){0});
}

static void check_writes(struct store *s, const struct txn *t)
{
    for (size_t i = 0; s->check && i < t->n && (i || still_as_expected(s, t)); i++)
        check_op(s, &t->ops[i]);
}

int store_txn(struct store *s, const struct txn *t, int64_t *ret_revision, struct err *err)
{
    int result = 0;
    int64_t revision;
    int r = txn_check(t, err);
    if (r == 0)
        check_writes(s, t);
    if (r == 0)
        r = s->ops->commit(s, t, 1, &result, &revision, err);
    if (r < 0 || result < 0)
        return r < 0 ? r : result;
    if (ret_revision)
        *ret_revision = revision;
    return 0;
}

int store_txn_many(struct store *s, const struct txn *txns, size_t n, int *results,
                   int64_t *ret_revision, struct err *err)
{
    int64_t revision;
    for (size_t i = 0; i < n; i++) {
        int r = txn_check(&txns[i], err);
        if (r < 0)
            return err_wrap(err, "transaction %zu of %zu", i + 1, n);
        check_writes(s, &txns[i]);
    }
    return s->ops->commit(s, txns, n, results, ret_revision ? ret_revision : &revision, err);
}

int store_watch_many(struct store *s, const char *const *prefixes, int64_t from, struct watch **ret,
                     struct err *err)
{
    int r = prefixes_check(prefixes, err);
    if (r < 0)
        return r;
    if (from < 0)
        return err_set(err, ERR_INVALID, "can't watch from a negative revision");
    return s->ops->watch(s, prefixes, from, ret, err);
}

int store_watch(struct store *s, const char *prefix, int64_t from, struct watch **ret,
                struct err *err)
{
    return store_watch_many(s, (const char *const[]){prefix, NULL}, from, ret, err);
}

int watch_fd(const struct watch *w) { return w->fd; }

int watch_next(struct watch *w, struct kv *ret, struct err *err)
{
    return w->store->ops->watch_next(w, ret, err);
}

int64_t watch_revision(const struct watch *w) { return w->store->ops->watch_revision(w); }

void watch_close(struct watch *w)
{
    if (w)
        w->store->ops->watch_close(w);
}

int store_compact(struct store *s, int64_t revision, struct err *err)
{
    return s->ops->compact(s, revision, err);
}

int store_lease_grant(struct store *s, int64_t ttl_s, int64_t *ret_lease, struct err *err)
{
    if (ttl_s < 1 || ttl_s > STORE_TTL_MAX)
        return err_set(err, ERR_INVALID, "a lease of %lld s, it must be 1 to %d", (long long)ttl_s,
                       STORE_TTL_MAX);
    return s->ops->lease_grant(s, ttl_s, ret_lease, err);
}

int store_lease_keepalive(struct store *s, int64_t lease, struct err *err)
{
    return s->ops->lease_keepalive(s, lease, err);
}

int store_lease_revoke(struct store *s, int64_t lease, struct err *err)
{
    return s->ops->lease_revoke(s, lease, err);
}
