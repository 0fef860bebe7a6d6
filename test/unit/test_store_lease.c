/* The contract of leases. Times are measured only to tell "too early" from "never". */
#include <signal.h>

#include "base/time.h"
#include "lib/store_fixture.h"

static int64_t put_leased(struct fixture *f, const char *name, int64_t lease)
{
    _cleanup_(txn_release) struct txn t = {0};
    int64_t rev = 0;
    txn_put(&t, key(f, name), STR("held"), lease);
    assert_ok(f, store_txn(f->s, &t, &rev, &f->err));
    return rev;
}

static int64_t grant(struct fixture *f, int64_t ttl)
{
    int64_t lease;
    assert_ok(f, store_lease_grant(f->s, ttl, &lease, &f->err));
    assert_true(lease > 0);
    return lease;
}

static void keys_vanish_with_their_owner(void **state)
{
    struct fixture *f = *state;
    _cleanup_(watch_closep) struct watch *w = NULL;
    assert_ok(f, store_watch(f->s, f->prefix, 0, &w, &f->err));
    int64_t start = time_mono_ms(), lease = grant(f, 1);
    int64_t a = put_leased(f, "a", lease), b = put_leased(f, "b", lease), c = put(f, "c", "stays");
    expect_event(f, w, a, "a", "held");
    expect_event(f, w, b, "b", "held");
    expect_event(f, w, c, "c", "stays");
    _cleanup_(kv_release) struct kv one = next_event(f, w), two = next_event(f, w);
    assert_true(time_mono_ms() - start >= 1000);
    assert_null(one.value);
    assert_null(two.value);
    assert_true(one.mod_rev > c);
    assert_int_equal(one.mod_rev, two.mod_rev);
    assert_string_not_equal(one.key, two.key);
    assert_string_equal(value(f, "a"), "");
    assert_string_equal(value(f, "c"), "stays");
    assert_err(f, store_lease_keepalive(f->s, lease, &f->err), NOT_FOUND);
}

/* Who reads after it is due doesn't see it, though nobody watches. */
static void a_reader_notices_the_end(void **state)
{
    struct fixture *f = *state;
    put_leased(f, "a", grant(f, 1));
    assert_string_equal(value(f, "a"), "held");
    int64_t deadline = time_mono_ms() + PATIENCE_MS;
    while (*value(f, "a") && time_mono_ms() < deadline)
        readable(-1, 50);
    assert_string_equal(value(f, "a"), "");
}

static void a_lease_is_kept_alive(void **state)
{
    struct fixture *f = *state;
    _cleanup_(watch_closep) struct watch *w = NULL;
    int64_t start = time_mono_ms(), lease = grant(f, 2);
    put_leased(f, "a", lease);
    assert_ok(f, store_watch(f->s, f->prefix, 0, &w, &f->err));
    while (time_mono_ms() - start < 3500) { /* past its first and second deadline */
        assert_ok(f, store_lease_keepalive(f->s, lease, &f->err));
        expect_no_event(f, w);
        readable(-1, 200);
    }
    int64_t last = time_mono_ms();
    assert_string_equal(value(f, "a"), "held");
    _cleanup_(kv_release) struct kv gone = next_event(f, w);
    assert_null(gone.value);
    assert_true(time_mono_ms() - last >= 1500);
}

static void a_lease_is_revoked(void **state)
{
    struct fixture *f = *state;
    _cleanup_(watch_closep) struct watch *w = NULL;
    int64_t lease = grant(f, 60), rev = put_leased(f, "a", lease);
    assert_ok(f, store_watch(f->s, f->prefix, 0, &w, &f->err));
    assert_ok(f, store_lease_revoke(f->s, lease, &f->err));
    expect_event(f, w, rev + 1, "a", NULL);
    assert_err(f, store_lease_revoke(f->s, lease, &f->err), NOT_FOUND);
    assert_err(f, store_lease_keepalive(f->s, lease, &f->err), NOT_FOUND);
}

static void a_lease_without_keys_changes_nothing(void **state)
{
    struct fixture *f = *state;
    int64_t rev = put(f, "a", "1"), now;
    assert_ok(f, store_lease_revoke(f->s, grant(f, 60), &f->err));
    grant(f, 1);
    readable(-1, 1100); /* it ends unseen */
    assert_int_equal(put(f, "a", "2"), rev + 1);
    assert_ok(f, store_revision(f->s, &now, &f->err));
    assert_int_equal(now, rev + 1);
}

static void a_lost_lease_holds_nothing(void **state)
{
    struct fixture *f = *state;
    _cleanup_(txn_release) struct txn t = {0};
    int64_t lease = grant(f, 60);
    assert_ok(f, store_lease_revoke(f->s, lease, &f->err));
    txn_put(&t, key(f, "b"), STR("1"), 0);
    txn_put(&t, key(f, "a"), STR("1"), lease);
    assert_err(f, store_txn(f->s, &t, NULL, &f->err), NOT_FOUND);
    assert_string_equal(value(f, "a"), "");
    assert_string_equal(value(f, "b"), "");
}

static void a_put_without_it_lets_go(void **state)
{
    struct fixture *f = *state;
    _cleanup_(kv_release) struct kv kv = {0};
    int64_t lease = grant(f, 60);
    put_leased(f, "a", lease);
    put_leased(f, "b", lease);
    assert_ok(f, store_get(f->s, key(f, "a"), &kv, &f->err));
    assert_int_equal(kv.lease, lease);
    put(f, "a", "free");
    assert_ok(f, store_lease_revoke(f->s, lease, &f->err));
    assert_string_equal(value(f, "a"), "free");
    assert_string_equal(value(f, "b"), "");
}

static void bad_times_are_refused(void **state)
{
    struct fixture *f = *state;
    int64_t lease;
    assert_err(f, store_lease_grant(f->s, 0, &lease, &f->err), INVALID);
    assert_err(f, store_lease_grant(f->s, -1, &lease, &f->err), INVALID);
    assert_err(f, store_lease_grant(f->s, STORE_TTL_MAX + 1, &lease, &f->err), INVALID);
    assert_err(f, store_lease_keepalive(f->s, 12345, &f->err), NOT_FOUND);
}

/* Leader election: the next one takes over when the leader was killed, with a higher revision. */
static void the_keys_of_a_killed_owner_vanish(void **state)
{
    struct fixture *f = *state;
    _cleanup_(watch_closep) struct watch *w = NULL;
    _cleanup_(txn_release) struct txn t = {0};
    int64_t rev;
    assert_ok(f, store_watch(f->s, f->prefix, 0, &w, &f->err));
    _cleanup_(peer_release) struct peer leader =
        peer_start(f, "lease", key(f, "leader"), "1", NULL);
    assert_non_null(peer_line(&leader));
    _cleanup_(kv_release) struct kv elected = next_event(f, w);
    txn_expect(&t, key(f, "leader"), 0);
    txn_put(&t, key(f, "leader"), STR("me"), 0);
    assert_err(f, store_txn(f->s, &t, NULL, &f->err), CONFLICT);
    peer_kill(&leader);
    _cleanup_(kv_release) struct kv gone = next_event(f, w);
    assert_null(gone.value);
    assert_ok(f, store_txn(f->s, &t, &rev, &f->err));
    assert_true(rev > elected.mod_rev);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(keys_vanish_with_their_owner),
        FIXTURE_TEST(a_reader_notices_the_end),
        FIXTURE_TEST(a_lease_is_kept_alive),
        FIXTURE_TEST(a_lease_is_revoked),
        FIXTURE_TEST(a_lease_without_keys_changes_nothing),
        FIXTURE_TEST(a_lost_lease_holds_nothing),
        FIXTURE_TEST(a_put_without_it_lets_go),
        FIXTURE_TEST(bad_times_are_refused),
        FIXTURE_TEST(the_keys_of_a_killed_owner_vanish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
