/* The SQLite backend: opening, the schema, and its table of operations. */
#include "store/sqlite.h"

#include <fcntl.h>
#include <unistd.h>

#include "os/file.h"

enum {
    SCHEMA_VERSION = 1,
    APPLICATION_ID = 0x44617674, /* "Davt": no other program's database */
    CACHE_KIB = 256,
    LOG_KEEP_BYTES = 16 << 20, /* of the write-ahead log on disk after a burst */
    /* Writers never meet inside SQLite, they queue at the bell. Only the repair of the log after a
     * crash, by whoever reads first, can make another process wait here. */
    REPAIR_WAIT_MS = 10000,
};

static const char schema[] =
    "BEGIN;"
    "CREATE TABLE revisions ("
    "  id INTEGER PRIMARY KEY," /* revision << 20 | place in the transaction */
    "  key TEXT NOT NULL,"
    "  created INTEGER NOT NULL," /* revision that made the key */
    "  lease INTEGER NOT NULL,"   /* 0: none */
    "  latest INTEGER NOT NULL,"  /* 1: the key's current value */
    "  value BLOB);"              /* NULL: the key was deleted */
    "CREATE UNIQUE INDEX current ON revisions (key) WHERE latest;"
    "CREATE INDEX leased ON revisions (lease) WHERE latest AND lease;"
    "CREATE TABLE leases ("
    "  id INTEGER PRIMARY KEY,"
    "  ttl_ms INTEGER NOT NULL,"
    "  deadline INTEGER NOT NULL);" /* on CLOCK_BOOTTIME of the boot in meta */
    "CREATE TABLE meta (compacted INTEGER NOT NULL, boot TEXT NOT NULL);"
    "INSERT INTO meta VALUES (0, '');"
    "PRAGMA application_id = 0x44617674;"
    "PRAGMA user_version = 1;"
    "COMMIT";

static int exec(struct sqlite_store *s, const char *sql, struct err *err)
{
    if (sqlite3_exec(s->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return sql_error(s, "opening the store", err);
    return 0;
}

static int query_integer(struct sqlite_store *s, const char *sql, int64_t *ret, struct err *err)
{
    sqlite3_stmt *stmt = NULL;
    bool row = sqlite3_prepare_v2(s->db, sql, -1, &stmt, NULL) == SQLITE_OK &&
               sqlite3_step(stmt) == SQLITE_ROW;
    int r = 0;
    if (row)
        *ret = sqlite3_column_int64(stmt, 0);
    else
        r = sql_error(s, "opening the store", err);
    sqlite3_finalize(stmt);
    return r;
}

static int make_schema(struct sqlite_store *s, struct err *err)
{
    int64_t tables = 0;
    int r = query_integer(s, "SELECT count(*) FROM sqlite_schema", &tables, err);
    if (r < 0)
        return r;
    if (tables)
        return err_set(err, ERR_UNPROCESSABLE, "%s is another program's database", s->path);
    r = exec(s, "PRAGMA journal_mode = WAL", err);
    return r < 0 ? r : exec(s, schema, err);
}

static int check_schema(struct sqlite_store *s, struct err *err)
{
    int64_t version = 0, application = 0;
    int r = query_integer(s, "PRAGMA user_version", &version, err);
    if (r == 0)
        r = query_integer(s, "PRAGMA application_id", &application, err);
    if (r < 0)
        return r;
    if (version == 0 && application == 0)
        return make_schema(s, err);
    if (application != APPLICATION_ID)
        return err_set(err, ERR_UNPROCESSABLE, "%s is another program's database", s->path);
    if (version > SCHEMA_VERSION) {
        err_set(err, ERR_UNPROCESSABLE,
                "%s was written by a newer Davit (its schema is %lld, this program knows %d)",
                s->path, (long long)version, SCHEMA_VERSION);
        return err_hint(err, "start the newer davitd again");
    }
    return 0;
}

/* Leases are of one boot: after another their owners are gone, and the clock began anew. */
static int check_boot(struct sqlite_store *s, struct err *err)
{
    _cleanup_(buf_release) struct buf id = BUF_CAP(64);
    int r = file_read("/proc/sys/kernel/random/boot_id", &id, err);
    if (r < 0)
        return r;
    struct str boot = str_trim(buf_str(&id));
    char *sql =
        sqlite3_mprintf("UPDATE leases SET deadline = 1"
                        " WHERE (SELECT boot FROM meta) <> '%.*q';"
                        "UPDATE meta SET boot = '%.*q' WHERE boot <> '%.*q'",
                        (int)boot.len, boot.ptr, (int)boot.len, boot.ptr, (int)boot.len, boot.ptr);
    r = exec(s, sql, err);
    sqlite3_free(sql);
    return r;
}

static int note_wal_pages(void *store, sqlite3 *db, const char *name, int pages)
{
    (void)db;
    (void)name;
    ((struct sqlite_store *)store)->wal_pages = pages;
    return SQLITE_OK;
}

static int configure(struct sqlite_store *s, struct err *err)
{
    _cleanup_free_ char *pragmas = xasprintf("PRAGMA synchronous = FULL;"
                                             "PRAGMA cache_size = -%d;"
                                             "PRAGMA journal_size_limit = %d;"
                                             "PRAGMA temp_store = MEMORY;"
                                             "PRAGMA secure_delete = ON;"
                                             "PRAGMA trusted_schema = OFF;"
                                             "PRAGMA cell_size_check = ON;",
                                             CACHE_KIB, LOG_KEEP_BYTES);
    int keep_log = 1; /* or the last user to close would delete it, and another's umask make it */
    /* Its slots for small pieces: 120 kB of each handle, and every operator has two. */
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_LOOKASIDE, NULL, 0, 0);
    sqlite3_extended_result_codes(s->db, 0);
    sqlite3_busy_timeout(s->db, REPAIR_WAIT_MS);
    sqlite3_file_control(s->db, "main", SQLITE_FCNTL_PERSIST_WAL, &keep_log);
    sqlite3_wal_hook(s->db, note_wal_pages, s); /* instead of checkpoints inside a commit */
    return exec(s, pragmas, err);
}

static int make_file(const char *path, struct err *err)
{
    if (path_exists(path))
        return 0;
    _cleanup_close_ int fd = shared_file_open(path, err);
    if (fd < 0)
        return fd;
    _cleanup_free_ char *dir = xstrndup(path, (size_t)(strrchr(path, '/') - path) + 1);
    _cleanup_close_ int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0 || fsync(dir_fd) < 0)
        return err_errno(err, "syncing %s", dir);
    return 0;
}

static int open_database(struct sqlite_store *s, struct err *err)
{
    int r = make_file(s->path, err);
    if (r < 0)
        return r;
    const int how = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;
    if (sqlite3_open_v2(s->path, &s->db, how, NULL) != SQLITE_OK)
        return sql_error(s, "opening the store", err);
    if ((r = configure(s, err)) < 0 || (r = check_schema(s, err)) < 0)
        return r;
    return check_boot(s, err);
}

static void sqlite_close(struct store *store)
{
    struct sqlite_store *s = (struct sqlite_store *)store;
    int rope = -1;
    sql_finalize(s);
    /* The last one to close copies the log into the database, for which it must be alone. Without
     * the lock it's as safe: others would wait inside SQLite. */
    if (s->bell.path)
        bell_take(&s->bell, &rope, NULL);
    sqlite3_close(s->db);
    bell_ring(&rope);
    bell_release(&s->bell);
    closep(&s->alarm);
    free(s->path);
    free(s);
}

/* The folder may be reached through links, as its owner likes; the files may not be links: who may
 * write in the folder may be less than who opens them. SQLite, told so, follows none at all. */
static char *with_real_folder(const char *path)
{
    const char *name = strrchr(path, '/') + 1;
    _cleanup_free_ char *dir = xstrndup(path, (size_t)(name - path)), *real = realpath(dir, NULL);
    return real ? xasprintf("%s/%s", streq(real, "/") ? "" : real, name) : xstrdup(path);
}

static int sqlite_open(const char *path, struct store **ret, struct err *err)
{
    if (path[0] != '/' || path[strlen(path) - 1] == '/')
        return err_set(err, ERR_INVALID, "the store's path \"%s\" is not absolute", path);
    struct sqlite_store *s = xcalloc(1, sizeof(*s));
    *s = (struct sqlite_store){
        .store.ops = &store_sqlite, .path = with_real_folder(path), .bell.ear = -1, .alarm = -1};
    int rope = -1;
    int r = bell_init(&s->bell, s->path, err);
    if (r == 0)
        r = bell_take(&s->bell, &rope, err);
    if (r == 0)
        r = open_database(s, err);
    bell_ring(&rope);
    if (r < 0) {
        sqlite_close(&s->store);
        return r;
    }
    *ret = &s->store;
    return 0;
}

const struct store_ops store_sqlite = {
    .scheme = "sqlite",
    .open = sqlite_open,
    .close = sqlite_close,
    .get = sqlite_get,
    .list = sqlite_list,
    .revision = sqlite_revision,
    .commit = sqlite_commit,
    .watch = sqlite_watch,
    .watch_next = sqlite_watch_next,
    .watch_revision = sqlite_watch_revision,
    .watch_close = sqlite_watch_close,
    .compact = sqlite_compact,
    .lease_grant = sqlite_lease_grant,
    .lease_keepalive = sqlite_lease_keepalive,
    .lease_revoke = sqlite_lease_revoke,
};
