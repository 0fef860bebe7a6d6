/* Writing: the lock, the transaction, compaction, the log's checkpoints, the bell. */
#include "store/sqlite.h"

enum {
    KEEP_REVISIONS = 10000, /* that a slow watcher may be behind */
    COMPACT_EVERY = 500,    /* revisions */
    /* Pages of the write-ahead log. Above the first it is copied into the database after the bell,
     * so that nobody waits; above the second before it, so that busy writers can't outrun it. */
    LOG_COPY_PAGES = 1000,
    LOG_COPY_LOCKED_PAGES = 4000,
};

/* A failed checkpoint loses nothing: the log stays, and the next commit tries again. */
static void copy_log(struct sqlite_store *s)
{
    sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    s->wal_pages = 0;
}

int sqlite_write_begin(struct sqlite_store *s, struct sqlite_write *ret, struct err *err)
{
    int64_t newest;
    *ret = (struct sqlite_write){.s = s, .rope = -1};
    int r = bell_take(&s->bell, &ret->rope, err);
    if (r == 0)
        r = sql_run(s, SQL_BEGIN_WRITE, err);
    if (r < 0)
        return r;
    ret->open = true;
    if ((r = sql_integer(s, SQL_NEWEST, &newest, err)) < 0 ||
        (r = sql_integer(s, SQL_COMPACTED, &ret->compacted, err)) < 0)
        return r;
    ret->before = ret->revision = id_revision(newest);
    return sqlite_lease_expire(ret, err);
}

/* Superseded rows up to w->compacted are gone already: what is superseded later is not kept.
 * The newest revision stays whole, since the next one is counted from it. */
static int compact(struct sqlite_write *w, int64_t revision, struct err *err)
{
    struct sqlite_store *s = w->s;
    bind_int(s, SQL_COMPACT, 1, id_first(w->compacted));
    bind_int(s, SQL_COMPACT, 2, id_first(MIN(revision + 1, w->revision)));
    int r = sql_run(s, SQL_COMPACT, err);
    if (r < 0)
        return r;
    bind_int(s, SQL_SET_COMPACTED, 1, revision);
    return sql_run(s, SQL_SET_COMPACTED, err);
}

static int compact_now_and_then(struct sqlite_write *w, struct err *err)
{
    int64_t oldest = w->revision - KEEP_REVISIONS;
    if (w->revision / COMPACT_EVERY == w->before / COMPACT_EVERY || oldest <= w->compacted)
        return 0;
    return compact(w, oldest, err);
}

int sqlite_write_commit(struct sqlite_write *w, struct err *err)
{
    struct sqlite_store *s = w->s;
    int r = compact_now_and_then(w, err);
    if (r == 0)
        r = sql_run(s, SQL_COMMIT, err);
    if (r < 0)
        return r;
    w->open = false;
    if (s->wal_pages > LOG_COPY_LOCKED_PAGES)
        copy_log(s);
    bell_ring(&w->rope);
    if (s->wal_pages > LOG_COPY_PAGES)
        copy_log(s);
    return 0;
}

void sqlite_write_end(struct sqlite_write *w)
{
    /* SQLite has undone it by itself after some errors. */
    if (w->open && !sqlite3_get_autocommit(w->s->db))
        sql_run(w->s, SQL_ROLLBACK, NULL);
    w->open = false;
    bell_ring(&w->rope);
}

/* -- one transaction of ours inside -- */

struct current {
    int64_t id; /* 0: there is no such key */
    int64_t created;
};

static int find(struct sqlite_store *s, const char *key, struct current *ret, struct err *err)
{
    bind_text(s, SQL_FIND, 1, key);
    int r = sql_step(s, SQL_FIND, err);
    if (r < 0)
        return r;
    *ret = (struct current){0};
    if (r > 0)
        *ret = (struct current){sqlite3_column_int64(s->sql[SQL_FIND], 0),
                                sqlite3_column_int64(s->sql[SQL_FIND], 1)};
    sql_end(s, SQL_FIND);
    return 0;
}

static int supersede(struct sqlite_write *w, int64_t id, struct err *err)
{
    enum sql q = id_revision(id) <= w->compacted ? SQL_FORGET : SQL_SUPERSEDE;
    bind_int(w->s, q, 1, id);
    return sql_run(w->s, q, err);
}

/* `value` NULL is a deletion. */
static int insert(struct sqlite_write *w, const char *key, int64_t created, int64_t lease,
                  const struct str *value, int *sub, struct err *err)
{
    struct sqlite_store *s = w->s;
    if (*sub > SUB_MAX)
        return err_set(err, ERR_TOO_LARGE, "more than %d keys change in one transaction", SUB_MAX);
    bind_int(s, SQL_INSERT, 1, id_first(w->revision) | (*sub)++);
    bind_text(s, SQL_INSERT, 2, key);
    bind_int(s, SQL_INSERT, 3, created);
    bind_int(s, SQL_INSERT, 4, lease);
    bind_int(s, SQL_INSERT, 5, value != NULL);
    if (value)
        sqlite3_bind_blob64(s->sql[SQL_INSERT], 6, value->ptr, value->len, SQLITE_STATIC);
    else
        sqlite3_bind_null(s->sql[SQL_INSERT], 6);
    return sql_run(s, SQL_INSERT, err);
}

static int put(struct sqlite_write *w, const struct txn_op *op, int *sub, struct err *err)
{
    struct current old;
    struct str value = {op->value, op->value_len};
    int r = find(w->s, op->key, &old, err);
    if (r == 0 && old.id)
        r = supersede(w, old.id, err);
    if (r < 0)
        return r;
    return insert(w, op->key, old.id ? old.created : w->revision, op->lease, &value, sub, err);
}

static int delete_key(struct sqlite_write *w, const char *key, int *sub, struct err *err)
{
    struct current old;
    int r = find(w->s, key, &old, err);
    if (r < 0 || !old.id)
        return r;
    r = supersede(w, old.id, err);
    return r < 0 ? r : insert(w, key, 0, 0, NULL, sub, err);
}

int sqlite_delete_found(struct sqlite_write *w, enum sql q, int *sub, struct err *err)
{
    _cleanup_free_ char *key = xstrdup(sql_text(w->s, q, 0));
    int before = *sub;
    sql_end(w->s, q);
    int r = delete_key(w, key, sub, err);
    if (r == 0 && *sub == before) /* it would be found again for ever */
        return sql_damaged(w->s, "deleting", "an index knows a key that isn't there", err);
    return r;
}

static int delete_prefix(struct sqlite_write *w, const char *prefix, int *sub, struct err *err)
{
    struct sqlite_store *s = w->s;
    _cleanup_free_ char *end = prefix_end(prefix);
    for (;;) {
        bind_text(s, SQL_FIND_PREFIX, 1, prefix);
        bind_text(s, SQL_FIND_PREFIX, 2, end);
        int r = sql_step(s, SQL_FIND_PREFIX, err);
        if (r <= 0 || (r = sqlite_delete_found(w, SQL_FIND_PREFIX, sub, err)) < 0)
            return r;
    }
}

static int apply_op(struct sqlite_write *w, const struct txn_op *op, int *sub, struct err *err)
{
    switch (op->type) {
    case TXN_PUT: return put(w, op, sub, err);
    case TXN_DELETE: return delete_key(w, op->key, sub, err);
    case TXN_DELETE_PREFIX: return delete_prefix(w, op->key, sub, err);
    case TXN_EXPECT: break;
    }
    return 0;
}

static int apply(struct sqlite_write *w, const struct txn *t, struct err *err)
{
    int sub = 0;
    w->revision++;
    for (size_t i = 0; i < t->n; i++) {
        int r = apply_op(w, &t->ops[i], &sub, err);
        if (r < 0)
            return r;
    }
    if (sub == 0)
        w->revision--;
    return 0;
}

/* What can make a transaction fail is looked at before it writes, so that it never must be taken
 * back alone. */
static int check_op(struct sqlite_write *w, const struct txn_op *op, int *ret_verdict,
                    struct err *err)
{
    struct current is;
    int64_t leases = 1;
    int r = 0;
    if (op->type == TXN_EXPECT) {
        r = find(w->s, op->key, &is, err);
        if (r == 0 && id_revision(is.id) != op->mod_rev)
            *ret_verdict = err_set(err, ERR_CONFLICT,
                                   "%s changed meanwhile (it was expected at revision %lld and is "
                                   "at %lld; 0 means absent)",
                                   op->key, (long long)op->mod_rev, (long long)id_revision(is.id));
    } else if (op->lease) {
        bind_int(w->s, SQL_LEASE_HAS, 1, op->lease);
        r = sql_integer(w->s, SQL_LEASE_HAS, &leases, err);
        if (r == 0 && !leases)
            *ret_verdict = err_set(err, ERR_NOT_FOUND, "the lease for %s has expired", op->key);
    }
    return r;
}

static int check(struct sqlite_write *w, const struct txn *t, int *ret_verdict, struct err *err)
{
    *ret_verdict = 0;
    for (size_t i = 0; i < t->n && !*ret_verdict; i++) {
        int r = check_op(w, &t->ops[i], ret_verdict, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int sqlite_commit(struct store *store, const struct txn *txns, size_t n, int *results,
                  int64_t *ret_revision, struct err *err)
{
    struct sqlite_store *s = (struct sqlite_store *)store;
    _cleanup_(sqlite_write_end) struct sqlite_write w;
    int r = sqlite_write_begin(s, &w, err);
    for (size_t i = 0; r == 0 && i < n; i++) {
        r = check(&w, &txns[i], &results[i], err);
        if (r == 0 && results[i] == 0)
            r = apply(&w, &txns[i], err);
    }
    if (r == 0)
        r = sqlite_write_commit(&w, err);
    if (r == 0)
        *ret_revision = w.revision;
    return r;
}

/* The log holds former pages until others are written over them. */
static int empty_log(struct sqlite_store *s, struct err *err)
{
    int rope = -1;
    int r = bell_take(&s->bell, &rope, err);
    if (r == 0 &&
        sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) != SQLITE_OK)
        r = sql_error(s, "emptying the store's log", err);
    s->wal_pages = 0;
    bell_ring(&rope);
    return r;
}

int sqlite_compact(struct store *store, int64_t revision, struct err *err)
{
    struct sqlite_store *s = (struct sqlite_store *)store;
    _cleanup_(sqlite_write_end) struct sqlite_write w;
    int r = sqlite_write_begin(s, &w, err);
    if (r < 0)
        return r;
    if (revision < 0 || revision > w.revision)
        return err_set(err, ERR_INVALID, "can't compact to revision %lld: the newest is %lld",
                       (long long)revision, (long long)w.revision);
    if (revision > w.compacted)
        r = compact(&w, revision, err);
    if (r == 0)
        r = sqlite_write_commit(&w, err);
    return r < 0 ? r : empty_log(s, err);
}
