/* The contract of store.h between processes: every change once, in order, without a gap, whoever is
 * slow or killed. The writers append to chains (1, 2, 3 … each expecting the one before), so that
 * one event lost, doubled or out of order is seen. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

#include "lib/store_fixture.h"

enum { WRITERS = 4, WRITES = 300 };

/* What a watcher has seen of the chains; keys end in the number of their chain. */
struct chains {
    int64_t n[WRITERS];
    int64_t rev;
};

static void see(struct chains *c, int64_t rev, const char *name, int64_t n)
{
    size_t chain = (size_t)(name[strlen(name) - 1] - '0');
    assert_true(chain < WRITERS);
    if (rev <= c->rev)
        fail_msg("revision %" PRId64 " after %" PRId64, rev, c->rev);
    if (n != c->n[chain] + 1)
        fail_msg("%s: %" PRId64 " after %" PRId64, name, n, c->n[chain]);
    c->rev = rev;
    c->n[chain] = n;
}

static void see_line(struct chains *c, const char *line)
{
    char name[STORE_KEY_MAX + 1];
    int64_t rev, n;
    assert_int_equal(sscanf(line, "%" SCNd64 " %1024s %" SCNd64, &rev, name, &n), 3);
    see(c, rev, name, n);
}

static void start_writers(struct fixture *f, struct peer p[WRITERS], const char *count)
{
    for (size_t i = 0; i < WRITERS; i++) {
        char name[2] = {(char)('0' + i), 0};
        p[i] = peer_start(f, "append", key(f, name), count, "100", NULL);
    }
}

static void concurrent_writers_lose_nothing(void **state)
{
    struct fixture *f = *state;
    char total[16], writes[16];
    snprintf(total, sizeof(total), "%d", WRITERS * WRITES);
    snprintf(writes, sizeof(writes), "%d", WRITES);
    struct peer writers[WRITERS], watchers[3];
    int64_t from;
    assert_ok(f, store_revision(f->s, &from, &f->err));
    char start[24];
    snprintf(start, sizeof(start), "%" PRId64, from + 1);
    watchers[0] = peer_start(f, "watch", f->prefix, "0", total, "0", NULL);
    watchers[1] = peer_start(f, "watch", f->prefix, start, total, "500", NULL); /* a slow one */
    assert_string_equal(peer_line(&watchers[0]), "watching");
    start_writers(f, writers, writes);
    watchers[2] = peer_start(f, "watch", f->prefix, start, total, "0", NULL); /* a late one */
    for (size_t i = 0; i < WRITERS; i++) {
        assert_int_equal(peer_wait(&writers[i]), 0);
        peer_release(&writers[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(watchers); i++) {
        struct chains c = {0};
        const char *line;
        while ((line = peer_line(&watchers[i])))
            if (!streq(line, "watching"))
                see_line(&c, line);
        assert_int_equal(peer_wait(&watchers[i]), 0);
        for (size_t w = 0; w < WRITERS; w++)
            assert_int_equal(c.n[w], WRITES);
        peer_release(&watchers[i]);
    }
}

static void one_of_many_wins_a_compare_and_swap(void **state)
{
    struct fixture *f = *state;
    struct peer p[WRITERS];
    put(f, "n", "0");
    for (size_t i = 0; i < WRITERS; i++)
        p[i] = peer_start(f, "increment", key(f, "n"), "100", NULL);
    for (size_t i = 0; i < WRITERS; i++) {
        assert_int_equal(peer_wait(&p[i]), 0);
        peer_release(&p[i]);
    }
    assert_int_equal(atoi(value(f, "n")), WRITERS * 100);
}

/* The last number the writer was told is written. */
static int64_t acknowledged(struct peer *p)
{
    const char *line;
    int64_t n = 0;
    while ((line = peer_line(p)))
        n = strtoll(line, NULL, 10);
    return n;
}

/* Writers die at random points, over and over: what was acknowledged is there, at most one more is
 * (written, but killed before it said so), the others go on, and watchers see it all. */
static void killed_writers_leave_a_good_store(void **state)
{
    struct fixture *f = *state;
    _cleanup_(watch_closep) struct watch *w = NULL;
    struct chains seen = {0};
    int64_t acked[WRITERS] = {0};
    unsigned char dice;
    assert_ok(f, store_watch(f->s, f->prefix, 0, &w, &f->err));
    for (int round = 0; round < 40; round++) {
        struct peer p[WRITERS];
        start_writers(f, p, "0");
        for (size_t i = 0; i < WRITERS; i++) {
            random_bytes(&dice, 1);
            if (dice % 4) /* else it may die while it opens the store */
                assert_non_null(peer_line(&p[i]));
            readable(-1, dice % 8);
            kill(p[i].pid, SIGKILL);
        }
        for (size_t i = 0; i < WRITERS; i++) {
            char name[2] = {(char)('0' + i), 0};
            int64_t n = acknowledged(&p[i]), is = atoll(value(f, name));
            peer_release(&p[i]);
            acked[i] = n ? n : acked[i];
            if (is < acked[i] || (n && is > n + 1))
                fail_msg("acknowledged %" PRId64 ", there is %" PRId64, acked[i], is);
        }
        int64_t rev = put(f, "end/0", "0");
        for (;;) {
            _cleanup_(kv_release) struct kv kv = next_event(f, w);
            if (kv.mod_rev == rev)
                break;
            see(&seen, kv.mod_rev, kv.key, atoll(kv.value));
        }
        for (size_t i = 0; i < WRITERS; i++) {
            char name[2] = {(char)('0' + i), 0};
            assert_int_equal(atoll(value(f, name)), seen.n[i]);
        }
    }
    assert_true(seen.n[0] > 0);
}

/* Watchers die too; the next one goes on behind the last event that one was told. */
static void killed_watchers_harm_nobody(void **state)
{
    struct fixture *f = *state;
    struct peer writers[WRITERS];
    struct chains seen = {0};
    unsigned char dice;
    assert_ok(f, store_revision(f->s, &seen.rev, &f->err));
    start_writers(f, writers, "0");
    for (int round = 0; round < 30; round++) {
        char from[24];
        snprintf(from, sizeof(from), "%" PRId64, seen.rev + 1);
        _cleanup_(peer_release) struct peer w =
            peer_start(f, "watch", f->prefix, from, "0", "0", NULL);
        const char *line = peer_line(&w);
        assert_string_equal(line, "watching");
        random_bytes(&dice, 1);
        readable(-1, dice % 16);
        peer_kill(&w);
        while ((line = peer_line(&w)))
            see_line(&seen, line);
    }
    for (size_t i = 0; i < WRITERS; i++) {
        assert_non_null(peer_line(&writers[i])); /* still at it */
        peer_release(&writers[i]);
        assert_true(seen.n[i] > 0);
    }
}

/* Compaction under way while others write and watch: a watcher sees all, or is told to list. */
static void compaction_meanwhile_loses_nothing(void **state)
{
    struct fixture *f = *state;
    struct peer writers[WRITERS];
    char writes[16];
    snprintf(writes, sizeof(writes), "%d", WRITES);
    _cleanup_(watch_closep) struct watch *w = NULL;
    struct chains seen = {0};
    int told = 0, compactions = 0;
    int64_t done = 0;
    assert_ok(f, store_watch(f->s, f->prefix, 0, &w, &f->err));
    start_writers(f, writers, writes);
    while (done < WRITERS * WRITES) {
        struct kv kv;
        int r = watch_next(w, &kv, &f->err);
        if (r == -ERR_COMPACTED) {
            struct kv_list l;
            watch_close(w);
            assert_ok(f, store_list(f->s, f->prefix, &l, &f->err));
            for (size_t i = 0; i < l.n; i++) {
                size_t chain = (size_t)(l.items[i].key[strlen(l.items[i].key) - 1] - '0');
                assert_true(atoll(l.items[i].value) >= seen.n[chain]);
                seen.n[chain] = atoll(l.items[i].value);
            }
            seen.rev = l.revision;
            kv_list_release(&l);
            assert_ok(f, store_watch(f->s, f->prefix, seen.rev + 1, &w, &f->err));
            told++;
        } else if (r == 0) {
            assert_true(readable(watch_fd(w), PATIENCE_MS));
        } else {
            assert_ok(f, r);
            see(&seen, kv.mod_rev, kv.key, atoll(kv.value));
            kv_release(&kv);
        }
        int64_t now;
        assert_ok(f, store_revision(f->s, &now, &f->err));
        if (now % 7 == 0 && ++compactions)
            assert_ok(f, store_compact(f->s, now, &f->err));
        done = 0;
        for (size_t i = 0; i < WRITERS; i++)
            done += seen.n[i];
    }
    assert_true(compactions > 0);
    print_message("%d compactions, told to list again %d times\n", compactions, told);
    for (size_t i = 0; i < WRITERS; i++) {
        assert_int_equal(peer_wait(&writers[i]), 0);
        peer_release(&writers[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(concurrent_writers_lose_nothing),
        FIXTURE_TEST(one_of_many_wins_a_compare_and_swap),
        FIXTURE_TEST(killed_writers_leave_a_good_store),
        FIXTURE_TEST(killed_watchers_harm_nobody),
        FIXTURE_TEST(compaction_meanwhile_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
