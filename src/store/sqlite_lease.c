/* Leases: keys that vanish with their owner. The row of a lease says until when it lasts; whoever
 * writes, reads or watches after that deletes its keys. */
#include <inttypes.h>

#include "base/time.h"
#include "store/sqlite.h"

static int lost(int64_t lease, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "lease %" PRId64 " has expired", lease);
}

/* Deletes it and its keys, in one revision if there are any. */
static int drop(struct sqlite_write *w, int64_t lease, struct err *err)
{
    struct sqlite_store *s = w->s;
    int sub = 0, r;
    w->revision++;
    bind_int(s, SQL_FIND_LEASED, 1, lease);
    while ((r = sql_step(s, SQL_FIND_LEASED, err)) > 0)
        if ((r = sqlite_delete_found(w, SQL_FIND_LEASED, &sub, err)) < 0)
            break;
    if (r < 0)
        return r;
    if (sub == 0)
        w->revision--;
    bind_int(s, SQL_LEASE_DROP, 1, lease);
    return sql_run(s, SQL_LEASE_DROP, err);
}

int sqlite_lease_expire(struct sqlite_write *w, struct err *err)
{
    int64_t lease;
    bind_int(w->s, SQL_LEASE_DUE, 1, time_mono_ms());
    for (;;) {
        int r = sql_integer(w->s, SQL_LEASE_DUE, &lease, err);
        if (r == 0 && lease)
            r = drop(w, lease, err);
        if (r < 0 || !lease)
            return r;
    }
}

bool sqlite_lease_settle(struct sqlite_store *s)
{
    int64_t due;
    bind_int(s, SQL_LEASE_DUE, 1, time_mono_ms());
    int r = sql_integer(s, SQL_LEASE_DUE, &due, NULL);
    if (r < 0 || !due)
        return r < 0;
    _cleanup_(sqlite_write_end) struct sqlite_write w;
    r = sqlite_write_begin(s, &w, NULL);
    return r < 0 || sqlite_write_commit(&w, NULL) < 0;
}

/* No lease outlasts its boot, so none need be on the disk: what only says how long it lasts costs
 * no fsync. */
static struct sqlite_store *without_sync(struct store *store)
{
    struct sqlite_store *s = (struct sqlite_store *)store;
    sqlite3_exec(s->db, "PRAGMA synchronous = NORMAL", NULL, NULL, NULL);
    return s;
}

static void sync_again(struct sqlite_store **s)
{
    sqlite3_exec((*s)->db, "PRAGMA synchronous = FULL", NULL, NULL, NULL);
}

int sqlite_lease_grant(struct store *store, int64_t ttl_s, int64_t *ret_lease, struct err *err)
{
    _cleanup_(sync_again) struct sqlite_store *s = without_sync(store);
    int64_t lease;
    random_bytes(&lease, sizeof(lease)); /* never one that somebody lost */
    lease = (lease & INT64_MAX) | 1;
    _cleanup_(sqlite_write_end) struct sqlite_write w;
    int r = sqlite_write_begin(s, &w, err);
    if (r < 0)
        return r;
    bind_int(s, SQL_LEASE_GRANT, 1, lease);
    bind_int(s, SQL_LEASE_GRANT, 2, ttl_s * 1000);
    bind_int(s, SQL_LEASE_GRANT, 3, time_mono_ms() + ttl_s * 1000);
    if ((r = sql_run(s, SQL_LEASE_GRANT, err)) < 0 || (r = sqlite_write_commit(&w, err)) < 0)
        return r;
    *ret_lease = lease;
    return 0;
}

int sqlite_lease_keepalive(struct store *store, int64_t lease, struct err *err)
{
    _cleanup_(sync_again) struct sqlite_store *s = without_sync(store);
    _cleanup_(sqlite_write_end) struct sqlite_write w;
    int r = sqlite_write_begin(s, &w, err);
    if (r < 0)
        return r;
    bind_int(s, SQL_LEASE_KEEP, 1, lease);
    bind_int(s, SQL_LEASE_KEEP, 2, time_mono_ms());
    r = sql_run(s, SQL_LEASE_KEEP, err);
    if (r < 0)
        return r;
    bool kept = sqlite3_changes(s->db) > 0;
    r = sqlite_write_commit(&w, err);
    return r < 0 || kept ? r : lost(lease, err);
}

int sqlite_lease_revoke(struct store *store, int64_t lease, struct err *err)
{
    struct sqlite_store *s = (struct sqlite_store *)store;
    int64_t has = 0;
    _cleanup_(sqlite_write_end) struct sqlite_write w;
    int r = sqlite_write_begin(s, &w, err);
    bind_int(s, SQL_LEASE_HAS, 1, lease);
    if (r == 0)
        r = sql_integer(s, SQL_LEASE_HAS, &has, err);
    if (r == 0 && has)
        r = drop(&w, lease, err);
    if (r == 0)
        r = sqlite_write_commit(&w, err);
    return r < 0 || has ? r : lost(lease, err);
}
