/* What only the SQLite backend promises: its files, its upkeep, and what it says of a database it
 * can't use. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/time.h"
#include "lib/store_fixture.h"
#include "os/file.h"
#include "os/spawn.h"

enum { NOBODY = 65534, A_GROUP = 54321 };

static char *db_path(struct fixture *f) { return xasprintf("%s/state.db", f->dir); }

static void sql(struct fixture *f, const char *text)
{
    _cleanup_free_ char *path = db_path(f);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", text, sqlite3_errmsg(db));
    sqlite3_close(db);
}

static int64_t sql_number(struct fixture *f, const char *text)
{
    _cleanup_free_ char *path = db_path(f);
    sqlite3 *db;
    sqlite3_stmt *stmt;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, text, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return n;
}

static void reopen(struct fixture *f)
{
    store_close(f->s);
    f->s = NULL;
    assert_ok(f, store_open(f->url, &f->s, &f->err));
}

/* n transactions of one put each, over `keys` keys, many in a commit. */
static void put_many(struct fixture *f, size_t n, size_t keys, size_t size)
{
    _cleanup_free_ char *text = xcalloc(1, size);
    while (n) {
        struct txn t[100] = {0};
        int results[100];
        size_t batch = MIN(n, ARRAY_LEN(t));
        for (size_t i = 0; i < batch; i++) {
            _cleanup_free_ char *name = xasprintf("many/%zu", (n - i) % keys);
            txn_put(&t[i], key(f, name), (struct str){text, size}, 0);
        }
        assert_ok(f, store_txn_many(f->s, t, batch, results, NULL, &f->err));
        for (size_t i = 0; i < batch; i++)
            txn_release(&t[i]);
        n -= batch;
    }
}

/* -- files -- */

static void files_are_the_groups(void **state)
{
    struct fixture *f = *state;
    store_close(f->s);
    f->s = NULL;
    assert_ok(f, dir_remove(f->dir, &f->err));
    assert_int_equal(mkdir(f->dir, 0770), 0);
    if (geteuid() != 0)
        skip();
    assert_int_equal(chown(f->dir, 0, A_GROUP), 0);
    mode_t old = umask(077);
    assert_ok(f, store_open(f->url, &f->s, &f->err));
    put(f, "a", "1");
    umask(old);
    const char *const files[] = {"", "-wal", "-shm", "-bell"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        _cleanup_free_ char *path = xasprintf("%s/state.db%s", f->dir, files[i]);
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0660);
        assert_int_equal(st.st_gid, A_GROUP);
    }
}

/* The peer where anybody can execute it; the build may lie in a folder that is nobody else's. */
static char *peer_for_all(struct fixture *f)
{
    char *path = xasprintf("/tmp/davit-store-peer.%d", (int)getpid());
    const char *const copy[] = {"install", "-m", "755", getenv("DAVIT_STORE_PEER"), path, NULL};
    assert_ok(f, spawn_run(copy, (struct str){0}, NULL, &f->err));
    return path;
}

/* root and the user of the API share it, whoever of them comes first. */
static void two_users_share_it(void **state)
{
    struct fixture *f = *state;
    if (geteuid() != 0)
        skip();
    _cleanup_free_ char *peer = peer_for_all(f);
    for (int first = 0; first < 2; first++) {
        store_close(f->s);
        f->s = NULL;
        assert_ok(f, dir_remove(f->dir, &f->err));
        assert_int_equal(mkdir(f->dir, 0770), 0);
        assert_int_equal(chown(f->dir, 0, A_GROUP), 0);
        assert_int_equal(chmod(f->dir, 02770), 0);
        if (first == 0)
            assert_ok(f, store_open(f->url, &f->s, &f->err));
        const char *argv[] = {peer, "append", f->url, key(f, "a"), "3", "10", NULL};
        struct spawn spawn = {
            .argv = argv, .fds = {-1, -1, 2}, .uid = NOBODY, .gid = A_GROUP, .cwd = "/"};
        pid_t pid = spawn_start(&spawn, &f->err);
        assert_ok(f, pid);
        assert_int_equal(spawn_wait(pid), 0);
        if (first == 1)
            assert_ok(f, store_open(f->url, &f->s, &f->err));
        assert_int_equal(atoi(value(f, "a")), 3);
        put(f, "a", "4");
        pid = spawn_start(&spawn, &f->err);
        assert_ok(f, pid);
        assert_int_equal(spawn_wait(pid), 0);
        assert_int_equal(atoi(value(f, "a")), 7);
    }
    unlink(peer);
}

static void it_lasts(void **state)
{
    struct fixture *f = *state;
    int64_t rev = put(f, "a", "1"), now;
    reopen(f);
    assert_string_equal(value(f, "a"), "1");
    assert_ok(f, store_revision(f->s, &now, &f->err));
    assert_int_equal(now, rev);
    del(f, "a");
    assert_ok(f, store_compact(f->s, rev + 1, &f->err));
    reopen(f);
    assert_int_equal(put(f, "b", "1"), rev + 2);
}

static void it_says_where_it_cannot_be(void **state)
{
    struct fixture *f = *state;
    struct store *s;
    assert_err(f, store_open("sqlite://relative.db", &s, &f->err), INVALID);
    assert_err(f, store_open("sqlite://", &s, &f->err), INVALID);
    assert_err(f, store_open("sqlite:///tmp/", &s, &f->err), INVALID);
    assert_err(f, store_open("sqlite:///no/such/folder/state.db", &s, &f->err), NOT_FOUND);
    assert_non_null(strstr(f->err.msg, "/no/such/folder/state.db"));
    _cleanup_free_ char *folder = xasprintf("sqlite://%s", f->dir);
    assert_true(store_open(folder, &s, &f->err) < 0);
}

static void a_database_behind_a_link_is_refused_a_folder_is_not(void **state)
{
    struct fixture *f = *state;
    struct store *s;
    _cleanup_free_ char *real = xasprintf("%s/real", f->dir), *link = xasprintf("%s/link", f->dir),
                        *other = xasprintf("%s/real/state.db", f->dir),
                        *file = xasprintf("%s/state-link.db", f->dir);
    _cleanup_free_ char *through = xasprintf("sqlite://%s/state.db", link),
                        *behind = xasprintf("sqlite://%s", file);
    assert_int_equal(mkdir(real, 0755) | symlink("real", link), 0);
    assert_ok(f, store_open(through, &s, &f->err));
    store_close(s);
    assert_int_equal(symlink(other, file), 0);
    assert_true(store_open(behind, &s, &f->err) < 0);
    assert_non_null(strstr(f->err.msg, "state-link.db"));
}

/* -- databases that are not ours, or not any more -- */

static void expect_refused(struct fixture *f, int code, const char *why)
{
    struct store *s;
    assert_int_equal(store_open(f->url, &s, &f->err), -code);
    if (!strstr(f->err.msg, why) || !strstr(f->err.msg, "state.db"))
        fail_msg("\"%s\" doesn't say \"%s\"", f->err.msg, why);
}

static void a_newer_schema_is_refused(void **state)
{
    struct fixture *f = *state;
    put(f, "a", "1");
    store_close(f->s);
    f->s = NULL;
    sql(f, "PRAGMA user_version = 2");
    expect_refused(f, ERR_UNPROCESSABLE, "newer Davit");
    assert_string_not_equal(f->err.hint, "");
    sql(f, "PRAGMA user_version = 1");
    reopen(f);
    assert_string_equal(value(f, "a"), "1");
}

static void another_programs_database_is_refused(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *path = db_path(f);
    store_close(f->s);
    f->s = NULL;
    unlink(path);
    sql(f, "CREATE TABLE theirs (x)");
    expect_refused(f, ERR_UNPROCESSABLE, "another program");
    sql(f, "PRAGMA application_id = 7");
    expect_refused(f, ERR_UNPROCESSABLE, "another program");
    assert_int_equal(sql_number(f, "SELECT count(*) FROM sqlite_schema"), 1);
}

static void what_is_no_database_is_refused(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *path = db_path(f);
    store_close(f->s);
    f->s = NULL;
    unlink(path);
    assert_ok(f, file_replace(path,
                              STR("This is a text, long enough to be looked at as a header "
                                  "of a database, which is 100 bytes, and then some more."),
                              0660, &f->err));
    expect_refused(f, ERR_IO, "damaged");
    assert_non_null(strstr(f->err.hint, "backup"));
}

/* Every page in turn is overwritten with rubbish: never a crash, and either all is well (a page
 * nobody needs), or an error that says so. */
static void damaged_pages_are_told(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *path = db_path(f);
    _cleanup_(buf_release) struct buf whole = BUF_INIT;
    put_many(f, 200, 200, 700);
    store_close(f->s);
    f->s = NULL;
    assert_ok(f, file_read(path, &whole, &f->err));
    size_t pages = whole.len / 4096, noticed = 0;
    assert_true(pages > 20);
    for (size_t i = 0; i < pages; i++) {
        struct kv_list l = {0};
        _cleanup_(buf_release) struct buf bad = BUF_INIT;
        _cleanup_(txn_release) struct txn t = {0};
        buf_add(&bad, whole.ptr, whole.len);
        memset(bad.ptr + i * 4096, 0xa5, 4096);
        assert_ok(f, file_replace(path, buf_str(&bad), 0660, &f->err));
        int r = store_open(f->url, &f->s, &f->err);
        if (r == 0)
            r = store_list(f->s, "/", &l, &f->err);
        if (r == 0)
            assert_int_equal(l.n, 200);
        txn_delete_prefix(&t, "/");
        if (r == 0)
            r = store_txn(f->s, &t, NULL, &f->err);
        if (r < 0) {
            noticed++;
            assert_true(r == -ERR_IO || r == -ERR_UNPROCESSABLE);
            assert_non_null(strstr(f->err.msg, "state.db"));
        }
        kv_list_release(&l);
        store_close(f->s);
        f->s = NULL;
        _cleanup_free_ char *wal = xasprintf("%s-wal", path);
        unlink(wal);
    }
    assert_true(noticed >= pages - 2);
}

/* -- upkeep -- */

static void history_is_bounded(void **state)
{
    struct fixture *f = *state;
    struct kv kv;
    put(f, "old", "stays");
    put_many(f, 25000, 40, 10);
    int64_t rows = sql_number(f, "SELECT count(*) FROM revisions"), newest;
    assert_in_range(rows, 10000, 10700);
    assert_string_equal(value(f, "old"), "stays");
    assert_ok(f, store_revision(f->s, &newest, &f->err));
    struct watch *w;
    assert_ok(f, store_watch(f->s, f->prefix, newest - 9999, &w, &f->err));
    for (int64_t rev = newest - 9999; rev <= newest; rev++) {
        kv = next_event(f, w);
        assert_int_equal(kv.mod_rev, rev);
        kv_release(&kv);
    }
    watch_close(w);
    assert_ok(f, store_watch(f->s, f->prefix, newest - 11000, &w, &f->err));
    assert_err(f, watch_next(w, &kv, &f->err), COMPACTED);
    watch_close(w);
}

/* Compaction leaves no row that nobody can ask for, whatever it meets: keys superseded before and
 * after, deleted, made again, and the newest revision being a deletion. */
static void compaction_leaves_nothing_behind(void **state)
{
    struct fixture *f = *state;
    int64_t rev = 0;
    for (int i = 0; i < 300; i++) {
        unsigned char dice[2];
        random_bytes(dice, sizeof(dice));
        char name[2] = {(char)('a' + dice[0] % 5), 0};
        if (dice[1] % 3)
            rev = put(f, name, "1");
        else
            del(f, name);
        if (dice[1] % 7 == 0)
            assert_ok(f, store_compact(f->s, MAX(rev - dice[0] % 4, 0), &f->err));
    }
    put(f, "a", "1");
    rev = del(f, "a");
    assert_ok(f, store_compact(f->s, rev, &f->err));
    assert_int_equal(put(f, "b", "1"), rev + 1);
    assert_ok(f, store_compact(f->s, rev + 1, &f->err));
    assert_int_equal(sql_number(f, "SELECT count(*) FROM revisions WHERE NOT latest"), 0);
}

static bool on_disk(struct fixture *f, const char *suffix, const char *word)
{
    _cleanup_(buf_release) struct buf all = BUF_CAP(64 << 20);
    _cleanup_free_ char *path = xasprintf("%s/state.db%s", f->dir, suffix);
    assert_int_equal(file_read(path, &all, &f->err), 0);
    return all.len && memmem(all.ptr, all.len, word, strlen(word));
}

/* A secret that was deleted is in no page, former page or log, however large it was. */
static void what_was_compacted_is_not_on_the_disk(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *large = xasprintf("%020000dthe-secret%020000d", 1, 2);
    put(f, "a", large);
    put(f, "b", "the-secret");
    put(f, "a", "1");
    assert_true(on_disk(f, "", "the-secret") || on_disk(f, "-wal", "the-secret"));
    int64_t rev = del(f, "b");
    assert_ok(f, store_compact(f->s, rev, &f->err));
    assert_false(on_disk(f, "", "the-secret"));
    assert_false(on_disk(f, "-wal", "the-secret"));
    assert_string_equal(value(f, "a"), "1");
}

static off_t size_of(struct fixture *f, const char *suffix)
{
    _cleanup_free_ char *path = xasprintf("%s/state.db%s", f->dir, suffix);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

/* The log is copied back although a watcher is far behind and several write without a pause. */
static void the_log_is_bounded(void **state)
{
    struct fixture *f = *state;
    _cleanup_(watch_closep) struct watch *slow = NULL;
    struct kv kv;
    assert_ok(f, store_watch(f->s, f->prefix, 0, &slow, &f->err));
    put_many(f, 300, 40, 1000);
    assert_int_equal(watch_next(slow, &kv, &f->err), 1);
    kv_release(&kv);
    struct peer p[3];
    off_t largest = 0;
    for (size_t i = 0; i < ARRAY_LEN(p); i++)
        p[i] = peer_start(f, "append", key(f, (char[]){(char)('a' + i), 0}), "2500", "3000", NULL);
    for (size_t i = 0; i < ARRAY_LEN(p); i++) {
        while (peer_line(&p[i]))
            largest = MAX(largest, size_of(f, "-wal"));
        assert_int_equal(peer_wait(&p[i]), 0);
        peer_release(&p[i]);
    }
    assert_true(size_of(f, "") > 20 << 20); /* far more was written than the log may hold */
    assert_in_range(largest, 1 << 20, 24 << 20);
}

/* After a restart of the machine the owners of leases are gone, and its clock began anew. */
static void leases_end_with_the_boot(void **state)
{
    struct fixture *f = *state;
    _cleanup_(watch_closep) struct watch *w = NULL;
    _cleanup_(txn_release) struct txn t = {0};
    int64_t lease, rev;
    assert_ok(f, store_lease_grant(f->s, 3600, &lease, &f->err));
    txn_put(&t, key(f, "a"), STR("held"), lease);
    assert_ok(f, store_txn(f->s, &t, &rev, &f->err));
    reopen(f);
    assert_string_equal(value(f, "a"), "held");
    store_close(f->s);
    f->s = NULL;
    sql(f, "UPDATE meta SET boot = 'another'");
    reopen(f);
    assert_ok(f, store_watch(f->s, f->prefix, rev + 1, &w, &f->err));
    expect_event(f, w, rev + 1, "a", NULL);
    assert_err(f, store_lease_keepalive(f->s, lease, &f->err), NOT_FOUND);
}

static void only_writers_wait_for_the_lock(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *path = xasprintf("%s/state.db-bell", f->dir);
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    put(f, "a", "1");
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
    _cleanup_(peer_release) struct peer p = peer_start(f, "append", key(f, "b"), "1", "10", NULL);
    assert_string_equal(value(f, "a"), "1"); /* readers don't wait */
    assert_false(readable(p.out, 100));      /* a writer does */
    lock.l_type = F_UNLCK;
    fcntl(fd, F_OFD_SETLK, &lock);
    assert_non_null(peer_line(&p));
    assert_int_equal(peer_wait(&p), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(files_are_the_groups),
        FIXTURE_TEST(two_users_share_it),
        FIXTURE_TEST(it_lasts),
        FIXTURE_TEST(it_says_where_it_cannot_be),
        FIXTURE_TEST(a_database_behind_a_link_is_refused_a_folder_is_not),
        FIXTURE_TEST(a_newer_schema_is_refused),
        FIXTURE_TEST(another_programs_database_is_refused),
        FIXTURE_TEST(what_is_no_database_is_refused),
        FIXTURE_TEST(damaged_pages_are_told),
        FIXTURE_TEST(history_is_bounded),
        FIXTURE_TEST(compaction_leaves_nothing_behind),
        FIXTURE_TEST(what_was_compacted_is_not_on_the_disk),
        FIXTURE_TEST(the_log_is_bounded),
        FIXTURE_TEST(leases_end_with_the_boot),
        FIXTURE_TEST(only_writers_wait_for_the_lock),
    };
    unsetenv("DAVIT_TEST_STORE");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
