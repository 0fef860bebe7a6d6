/* The SQLite backend, between its files. One table holds every revision of every key; the row whose
 * `latest` is set is the key's current value. A row's id is its revision and, below, its place in
 * the transaction, so that the order of ids is the order of changes. */
#ifndef STORE_SQLITE_H
#define STORE_SQLITE_H

#include <sqlite3.h>

#include "store/backend.h"
#include "store/bell.h"

enum {
    SUB_BITS = 20, /* at most a million keys change in one transaction */
    SUB_MAX = (1 << SUB_BITS) - 1,
};

static inline int64_t id_first(int64_t revision) { return revision << SUB_BITS; }
static inline int64_t id_last(int64_t revision) { return revision << SUB_BITS | SUB_MAX; }
static inline int64_t id_revision(int64_t id) { return id >> SUB_BITS; }

/* Every statement, prepared once a handle. */
#define SQL_STATEMENTS(X)                                                                          \
    X(BEGIN_READ, "BEGIN")                                                                         \
    X(BEGIN_WRITE, "BEGIN IMMEDIATE")                                                              \
    X(COMMIT, "COMMIT")                                                                            \
    X(ROLLBACK, "ROLLBACK")                                                                        \
    X(NEWEST, "SELECT max(id) FROM revisions")                                                     \
    X(COMPACTED, "SELECT compacted FROM meta")                                                     \
    X(GET, "SELECT id, key, created, lease, value FROM revisions WHERE key = ?1 AND latest")       \
    X(LIST, "SELECT id, key, created, lease, value FROM revisions"                                 \
            " WHERE key >= ?1 AND key < ?2 AND latest ORDER BY key")                               \
    X(CHANGES, "SELECT id, key, created, lease, value, (SELECT compacted FROM meta)"               \
               " FROM revisions WHERE id > ?1 ORDER BY id")                                        \
    X(FIND, "SELECT id, created FROM revisions WHERE key = ?1 AND latest")                         \
    X(FIND_PREFIX, "SELECT key FROM revisions WHERE key >= ?1 AND key < ?2 AND latest LIMIT 1")    \
    X(FIND_LEASED, "SELECT key FROM revisions WHERE lease = ?1 AND latest AND lease LIMIT 1")      \
    X(SUPERSEDE, "UPDATE revisions SET latest = 0 WHERE id = ?1")                                  \
    X(FORGET, "DELETE FROM revisions WHERE id = ?1")                                               \
    X(INSERT, "INSERT INTO revisions (id, key, created, lease, latest, value)"                     \
              " VALUES (?1, ?2, ?3, ?4, ?5, ?6)")                                                  \
    X(COMPACT, "DELETE FROM revisions WHERE id >= ?1 AND id < ?2 AND NOT latest")                  \
    X(SET_COMPACTED, "UPDATE meta SET compacted = ?1")                                             \
    X(LEASE_GRANT, "INSERT INTO leases (id, ttl_ms, deadline) VALUES (?1, ?2, ?3)")                \
    X(LEASE_KEEP, "UPDATE leases SET deadline = ttl_ms + ?2 WHERE id = ?1")                        \
    X(LEASE_HAS, "SELECT count(*) FROM leases WHERE id = ?1")                                      \
    X(LEASE_DROP, "DELETE FROM leases WHERE id = ?1")                                              \
    X(LEASE_DUE, "SELECT id FROM leases WHERE deadline <= ?1 LIMIT 1")                             \
    X(LEASE_NEXT, "SELECT min(deadline) FROM leases")

enum sql {
#define X(name, text) SQL_##name,
    SQL_STATEMENTS(X)
#undef X
        SQL_COUNT
};

struct sqlite_watch;

struct sqlite_store {
    struct store store;
    sqlite3 *db;
    sqlite3_stmt *sql[SQL_COUNT];
    char *path;
    struct bell bell;
    int wal_pages; /* in the log after our last commit; 0 once we copied it */
    /* Shared by all watches of the handle; see sqlite_watch.c. */
    struct sqlite_watch *watches;
    int alarm;        /* timerfd for the next lease to expire; -1 until there is a watch */
    int64_t alarm_at; /* what it is set to; 0: off */
    int64_t alarm_not_before;
};

/* -- statements and reading (sqlite_read.c) -- */

/* Prepared when it is first needed, as a handle needs few of them and each takes some kilobytes.
 * NULL if it can't be: sql_step says why. */
sqlite3_stmt *sql_statement(struct sqlite_store *s, enum sql q);
void sql_finalize(struct sqlite_store *s);
/* err from SQLite's last error: "doing: state.db: …". */
int sql_error(struct sqlite_store *s, const char *doing, struct err *err);
int sql_damaged(struct sqlite_store *s, const char *doing, const char *why, struct err *err);
/* Steps a bound statement: 1 a row, 0 done (and reset), negative. After a row, sql_end it. */
int sql_step(struct sqlite_store *s, enum sql q, struct err *err);
void sql_end(struct sqlite_store *s, enum sql q);
/* One that yields no rows. */
int sql_run(struct sqlite_store *s, enum sql q, struct err *err);
/* The integer in the first column of the only row; 0 where it is NULL or there is none. */
int sql_integer(struct sqlite_store *s, enum sql q, int64_t *ret, struct err *err);

static inline void bind_int(struct sqlite_store *s, enum sql q, int at, int64_t value)
{
    sqlite3_bind_int64(sql_statement(s, q), at, value);
}

/* `text` must stay until the statement is reset. */
static inline void bind_text(struct sqlite_store *s, enum sql q, int at, const char *text)
{
    sqlite3_bind_text(sql_statement(s, q), at, text, -1, SQLITE_STATIC);
}

/* A text of the row that q stands on; "" where it is NULL, as only in a damaged database. Valid
 * until the next step. */
const char *sql_text(struct sqlite_store *s, enum sql q, int column);
/* The row that GET, LIST or CHANGES stands on. */
void sql_row_kv(struct sqlite_store *s, enum sql q, struct kv *ret);

int sqlite_get(struct store *store, const char *key, struct kv *ret, struct err *err);
int sqlite_list(struct store *store, const char *const *prefixes, struct kv_list *ret,
                struct err *err);
int sqlite_revision(struct store *store, int64_t *ret, struct err *err);

/* -- writing (sqlite_write.c) -- */

/* A write transaction, from the lock to the bell. Left without sqlite_write_commit, it is undone.
 */
struct sqlite_write {
    struct sqlite_store *s;
    int rope;
    bool open;
    int64_t compacted;
    int64_t revision; /* newest; this transaction's included */
    int64_t before;   /* newest when it began */
};

/* Begins with expiring the leases that are due. */
int sqlite_write_begin(struct sqlite_store *s, struct sqlite_write *ret, struct err *err);
int sqlite_write_commit(struct sqlite_write *w, struct err *err);
void sqlite_write_end(struct sqlite_write *w);

/* Deletes the key that q (FIND_PREFIX or FIND_LEASED) stands on, as the *sub-th change of the
 * revision being written, and resets q. */
int sqlite_delete_found(struct sqlite_write *w, enum sql q, int *sub, struct err *err);

int sqlite_commit(struct store *store, const struct txn *txns, size_t n, int *results,
                  int64_t *ret_revision, struct err *err);
int sqlite_compact(struct store *store, int64_t revision, struct err *err);

/* -- leases (sqlite_lease.c) -- */

int sqlite_lease_grant(struct store *store, int64_t ttl_s, int64_t *ret_lease, struct err *err);
int sqlite_lease_keepalive(struct store *store, int64_t lease, struct err *err);
int sqlite_lease_revoke(struct store *store, int64_t lease, struct err *err);
/* Deletes the keys of every lease that is due, each lease in a revision of its own. */
int sqlite_lease_expire(struct sqlite_write *w, struct err *err);
/* The same for who is about to read: a transaction only if one is due. Where it fails (a full
 * disk), the keys vanish later, and reading goes on; returns whether it failed. */
bool sqlite_lease_settle(struct sqlite_store *s);
/* -- watching (sqlite_watch.c) -- */

int sqlite_watch(struct store *store, const char *const *prefixes, int64_t from, struct watch **ret,
                 struct err *err);
int sqlite_watch_next(struct watch *watch, struct kv *ret, struct err *err);
int64_t sqlite_watch_revision(const struct watch *watch);
void sqlite_watch_close(struct watch *watch);

#endif
