/* The SQLite backend: its statements and errors, and reading. */
#include <errno.h>

#include "base/array.h"
#include "store/sqlite.h"

static const char *const statements[] = {
#define X(name, text) text,
    SQL_STATEMENTS(X)
#undef X
};

int sql_damaged(struct sqlite_store *s, const char *doing, const char *why, struct err *err)
{
    err_set(err, ERR_IO, "%s: %s is damaged (%s)", doing, s->path, why);
    return err_hint(err, "stop davitd, move %s, -wal and -shm away and restore them from a backup",
                    s->path);
}

int sql_error(struct sqlite_store *s, const char *doing, struct err *err)
{
    int code = sqlite3_errcode(s->db);
    int cause = sqlite3_system_errno(s->db);
    bool full =
        code == SQLITE_FULL || (code == SQLITE_IOERR && (cause == ENOSPC || cause == EDQUOT));
    if (full) {
        err_set(err, ERR_NO_SPACE, "%s: no space left for %s", doing, s->path);
        return err_hint(err, "make room on its disk; nothing was changed");
    }
    switch (code) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return sql_damaged(s, doing, sqlite3_errmsg(s->db), err);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
        return err_set(err, ERR_UNAVAILABLE, "%s: %s is held by another program", doing, s->path);
    default: return err_set(err, ERR_IO, "%s: %s: %s", doing, s->path, sqlite3_errmsg(s->db));
    }
}

sqlite3_stmt *sql_statement(struct sqlite_store *s, enum sql q)
{
    if (!s->sql[q])
        sqlite3_prepare_v3(s->db, statements[q], -1, SQLITE_PREPARE_PERSISTENT, &s->sql[q], NULL);
    return s->sql[q];
}

void sql_finalize(struct sqlite_store *s)
{
    for (size_t i = 0; i < SQL_COUNT; i++)
        sqlite3_finalize(s->sql[i]);
}

int sql_step(struct sqlite_store *s, enum sql q, struct err *err)
{
    int rc = sqlite3_step(sql_statement(s, q));
    if (rc == SQLITE_ROW)
        return 1;
    int r = rc == SQLITE_DONE ? 0 : sql_error(s, "using the store", err);
    sql_end(s, q);
    return r;
}

void sql_end(struct sqlite_store *s, enum sql q) { sqlite3_reset(s->sql[q]); }

int sql_run(struct sqlite_store *s, enum sql q, struct err *err)
{
    int r = sql_step(s, q, err);
    if (r > 0)
        sql_end(s, q);
    return MIN(r, 0);
}

int sql_integer(struct sqlite_store *s, enum sql q, int64_t *ret, struct err *err)
{
    int r = sql_step(s, q, err);
    if (r < 0)
        return r;
    *ret = r > 0 ? sqlite3_column_int64(s->sql[q], 0) : 0;
    sql_end(s, q);
    return 0;
}

const char *sql_text(struct sqlite_store *s, enum sql q, int column)
{
    const char *text = (const char *)sqlite3_column_text(s->sql[q], column);
    return text ? text : "";
}

void sql_row_kv(struct sqlite_store *s, enum sql q, struct kv *ret)
{
    sqlite3_stmt *row = s->sql[q];
    *ret = (struct kv){.key = xstrdup(sql_text(s, q, 1)),
                       .mod_rev = id_revision(sqlite3_column_int64(row, 0)),
                       .create_rev = sqlite3_column_int64(row, 2),
                       .lease = sqlite3_column_int64(row, 3)};
    if (sqlite3_column_type(row, 4) == SQLITE_NULL)
        return;
    const void *value = sqlite3_column_blob(row, 4);
    ret->value_len = (size_t)sqlite3_column_bytes(row, 4);
    ret->value = xmalloc(ret->value_len + 1);
    if (ret->value_len)
        memcpy(ret->value, value, ret->value_len);
    ret->value[ret->value_len] = '\0';
}

int sqlite_get(struct store *store, const char *key, struct kv *ret, struct err *err)
{
    struct sqlite_store *s = (struct sqlite_store *)store;
    sqlite_lease_settle(s);
    bind_text(s, SQL_GET, 1, key);
    int r = sql_step(s, SQL_GET, err);
    if (r < 0)
        return r;
    if (r == 0)
        return err_set(err, ERR_NOT_FOUND, "there is no %s", key);
    sql_row_kv(s, SQL_GET, ret);
    sql_end(s, SQL_GET);
    return 0;
}

static int list_rows(struct sqlite_store *s, const char *prefix, struct kv_list *l, struct err *err)
{
    _cleanup_free_ char *end = prefix_end(prefix);
    int r;
    bind_text(s, SQL_LIST, 1, prefix);
    bind_text(s, SQL_LIST, 2, end);
    while ((r = sql_step(s, SQL_LIST, err)) > 0) {
        sql_row_kv(s, SQL_LIST, array_add(l->items, l->n));
    }
    return r;
}

int sqlite_revision(struct store *store, int64_t *ret, struct err *err)
{
    struct sqlite_store *s = (struct sqlite_store *)store;
    int64_t id;
    sqlite_lease_settle(s);
    int r = sql_integer(s, SQL_NEWEST, &id, err);
    if (r == 0)
        *ret = id_revision(id);
    return r;
}

int sqlite_list(struct store *store, const char *const *prefixes, struct kv_list *ret,
                struct err *err)
{
    struct sqlite_store *s = (struct sqlite_store *)store;
    _cleanup_(kv_list_release) struct kv_list l = {0};
    int64_t newest = 0;
    sqlite_lease_settle(s);
    int r = sql_run(s, SQL_BEGIN_READ, err);
    if (r < 0)
        return r;
    r = sql_integer(s, SQL_NEWEST, &newest, err);
    for (size_t i = 0; r == 0 && prefixes[i]; i++)
        r = list_rows(s, prefixes[i], &l, err);
    sql_run(s, SQL_COMMIT, NULL); /* ends a read: nothing there can fail */
    if (r < 0)
        return r;
    l.revision = id_revision(newest);
    *ret = l;
    l = (struct kv_list){0};
    return 0;
}
