/* The contract of store.h, within one process. See test_store_processes.c for several. */
#include <inttypes.h>

#include "lib/store_fixture.h"

static void values_come_back(void **state)
{
    struct fixture *f = *state;
    int64_t before, now;
    _cleanup_(kv_release) struct kv kv = {0};
    assert_ok(f, store_revision(f->s, &before, &f->err));
    int64_t made = put(f, "a", "{\"n\":1}");
    assert_int_equal(made, before + 1);
    int64_t changed = put(f, "a", "{\"n\":2}");
    assert_int_equal(changed, made + 1);
    assert_ok(f, store_get(f->s, key(f, "a"), &kv, &f->err));
    assert_string_equal(kv.key, key(f, "a"));
    assert_string_equal(kv.value, "{\"n\":2}");
    assert_int_equal(kv.value_len, 7);
    assert_int_equal(kv.create_rev, made);
    assert_int_equal(kv.mod_rev, changed);
    assert_int_equal(kv.lease, 0);
    assert_ok(f, store_revision(f->s, &now, &f->err));
    assert_int_equal(now, changed);
}

static void nothing_is_got_where_nothing_is(void **state)
{
    struct fixture *f = *state;
    struct kv kv;
    assert_err(f, store_get(f->s, key(f, "none"), &kv, &f->err), NOT_FOUND);
    put(f, "a", "1");
    del(f, "a");
    assert_err(f, store_get(f->s, key(f, "a"), &kv, &f->err), NOT_FOUND);
    int64_t again = put(f, "a", "2");
    assert_ok(f, store_get(f->s, key(f, "a"), &kv, &f->err));
    assert_int_equal(kv.create_rev, again);
    kv_release(&kv);
}

static void any_bytes_and_sizes_are_kept(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *big = xmalloc(STORE_VALUE_MAX);
    memset(big, 'x', STORE_VALUE_MAX);
    const struct str values[] = {STR(""), {"a\0b\n\xff", 5}, {big, STORE_VALUE_MAX}};
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        _cleanup_(txn_release) struct txn t = {0};
        _cleanup_(kv_release) struct kv kv = {0};
        txn_put(&t, key(f, "a"), values[i], 0);
        assert_ok(f, store_txn(f->s, &t, NULL, &f->err));
        assert_ok(f, store_get(f->s, key(f, "a"), &kv, &f->err));
        assert_int_equal(kv.value_len, values[i].len);
        assert_memory_equal(kv.value, values[i].ptr, values[i].len);
        assert_int_equal(kv.value[kv.value_len], 0);
    }
}

static void a_list_is_sorted_and_bounded(void **state)
{
    struct fixture *f = *state;
    /* bytes order, whatever a language would say; what sorts right before and behind is not in */
    const char *const in[] = {"b/", "b/1", "b/10", "b/2", "b/Z", "b/a", "b/\xc3\xa9", "b/\xff\xff"};
    const char *const out[] = {"b", "b.", "b0", "bb", "a", "c"};
    _cleanup_(kv_list_release) struct kv_list l = {0};
    int64_t last = 0;
    for (size_t i = ARRAY_LEN(in); i-- > 0;)
        put(f, in[i], in[i]);
    for (size_t i = 0; i < ARRAY_LEN(out); i++)
        last = put(f, out[i], "no");
    assert_ok(f, store_list(f->s, key(f, "b/"), &l, &f->err));
    assert_int_equal(l.n, ARRAY_LEN(in));
    for (size_t i = 0; i < l.n; i++) {
        assert_string_equal(l.items[i].key, key(f, in[i]));
        assert_string_equal(l.items[i].value, in[i]);
    }
    assert_int_equal(l.revision, last);
}

static void a_list_of_nothing_is_empty(void **state)
{
    struct fixture *f = *state;
    struct kv_list l;
    int64_t rev = put(f, "a", "1");
    assert_ok(f, store_list(f->s, key(f, "b"), &l, &f->err));
    assert_int_equal(l.n, 0);
    assert_int_equal(l.revision, rev);
    kv_list_release(&l);
}

static void a_prefix_may_end_in_the_last_byte(void **state)
{
    struct fixture *f = *state;
    _cleanup_(kv_list_release) struct kv_list l = {0};
    put(f, "\xff", "1");
    put(f, "\xff\xff", "2");
    put(f, "\xfe", "3");
    assert_ok(f, store_list(f->s, key(f, "\xff"), &l, &f->err));
    assert_int_equal(l.n, 2);
}

/* -- transactions -- */

static void a_transaction_is_all_or_nothing(void **state)
{
    struct fixture *f = *state;
    _cleanup_(txn_release) struct txn t = {0};
    int64_t rev = put(f, "a", "1"), now;
    put(f, "b", "1");
    txn_expect(&t, key(f, "a"), rev);
    txn_put(&t, key(f, "a"), STR("2"), 0);
    txn_delete(&t, key(f, "b"));
    txn_expect(&t, key(f, "c"), rev); /* isn't there */
    assert_err(f, store_txn(f->s, &t, NULL, &f->err), CONFLICT);
    assert_non_null(strstr(f->err.msg, key(f, "c")));
    assert_string_equal(value(f, "a"), "1");
    assert_string_equal(value(f, "b"), "1");
    assert_ok(f, store_revision(f->s, &now, &f->err));
    assert_int_equal(now, rev + 1);
}

static void a_transaction_expects_revisions(void **state)
{
    struct fixture *f = *state;
    int64_t rev = put(f, "a", "1");
    const struct {
        const char *key;
        int64_t mod_rev;
        bool holds;
    } cases[] = {{"a", rev, true}, {"a", rev - 1, false}, {"a", rev + 1, false}, {"a", 0, false},
                 {"z", 0, true},   {"z", rev, false},     {"a", rev, true}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_(txn_release) struct txn t = {0};
        txn_expect(&t, key(f, cases[i].key), cases[i].mod_rev);
        txn_put(&t, key(f, "other"), STR("1"), 0);
        int r = store_txn(f->s, &t, NULL, &f->err);
        assert_int_equal(r, cases[i].holds ? 0 : -ERR_CONFLICT);
    }
}

static void a_transaction_has_one_revision(void **state)
{
    struct fixture *f = *state;
    _cleanup_(txn_release) struct txn t = {0};
    _cleanup_(kv_list_release) struct kv_list l = {0};
    int64_t rev;
    put(f, "old", "1");
    txn_put(&t, key(f, "a"), STR("1"), 0);
    txn_put(&t, key(f, "b"), STR("2"), 0);
    txn_delete(&t, key(f, "old"));
    assert_ok(f, store_txn(f->s, &t, &rev, &f->err));
    assert_ok(f, store_list(f->s, key(f, ""), &l, &f->err));
    assert_int_equal(l.n, 2);
    assert_int_equal(l.items[0].mod_rev, rev);
    assert_int_equal(l.items[1].mod_rev, rev);
    assert_int_equal(l.revision, rev);
}

static void what_changes_nothing_has_no_revision(void **state)
{
    struct fixture *f = *state;
    _cleanup_(txn_release) struct txn t = {0};
    int64_t rev = put(f, "a", "1"), same;
    txn_expect(&t, key(f, "a"), rev);
    txn_delete(&t, key(f, "none"));
    txn_delete_prefix(&t, key(f, "none/"));
    assert_ok(f, store_txn(f->s, &t, &same, &f->err));
    assert_int_equal(same, rev);
    assert_int_equal(put(f, "a", "1"), rev + 1); /* the same value is a change */
}

static void a_prefix_is_deleted(void **state)
{
    struct fixture *f = *state;
    _cleanup_(txn_release) struct txn t = {0};
    _cleanup_(kv_list_release) struct kv_list l = {0};
    const char *const keys[] = {"app", "app/1", "app/2", "app/2/x", "app0", "ap"};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        put(f, keys[i], "1");
    txn_delete_prefix(&t, key(f, "app/"));
    txn_put(&t, key(f, "app"), STR("2"), 0);
    assert_ok(f, store_txn(f->s, &t, NULL, &f->err));
    assert_ok(f, store_list(f->s, key(f, ""), &l, &f->err));
    assert_int_equal(l.n, 3);
    assert_string_equal(l.items[0].key, key(f, "ap"));
    assert_string_equal(l.items[1].value, "2");
    assert_string_equal(l.items[2].key, key(f, "app0"));
}

/* A letter an operation: p put, d delete, D delete_prefix, e expect; then the key. */
static int try_ops(struct fixture *f, const char *const ops[])
{
    _cleanup_(txn_release) struct txn t = {0};
    for (; *ops; ops++) {
        const char *k = key(f, *ops + 1);
        switch (**ops) {
        case 'p': txn_put(&t, k, STR("1"), 0); break;
        case 'd': txn_delete(&t, k); break;
        case 'D': txn_delete_prefix(&t, k); break;
        default: txn_expect(&t, k, 0);
        }
    }
    return store_txn(f->s, &t, NULL, &f->err);
}

static void a_key_is_written_once(void **state)
{
    struct fixture *f = *state;
    const struct {
        const char *ops[5];
        bool fine;
    } cases[] = {
        {{"pa", "pa"}, false},         {{"pa", "pb", "pc", "pb"}, false},
        {{"pa", "da"}, false},         {{"da", "pa"}, false},
        {{"Da/", "pa/1"}, false},      {{"pa/b/c", "da/x", "Da/"}, false},
        {{"Da", "pa"}, false},         {{"pa", "Da"}, false},
        {{"Da/", "pa/", "pz"}, false}, {{"pa", "pab", "Da/", "db"}, true},
        {{"da", "da"}, true},          {{"Da/", "Da/b", "da/c"}, true},
        {{"en", "en", "pn"}, true},    {{"pm/1", "Dm/2", "pm/3", "Dm/4"}, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (try_ops(f, cases[i].ops) != (cases[i].fine ? 0 : -ERR_INVALID))
            fail_msg("case %zu", i);
}

static void keys_and_values_have_limits(void **state)
{
    struct fixture *f = *state;
    _cleanup_(txn_release) struct txn longest = {0}, too_long = {0}, too_big = {0}, many = {0},
                                      too_many = {0}, heavy = {0};
    _cleanup_free_ char *big = xcalloc(1, STORE_VALUE_MAX + 1);
    char name[STORE_KEY_MAX + 2];
    int64_t before, after;
    memset(name, 'k', sizeof(name));
    memcpy(name, f->prefix, strlen(f->prefix));
    assert_ok(f, store_revision(f->s, &before, &f->err));

    name[STORE_KEY_MAX + 1] = '\0';
    txn_put(&too_long, name, STR("1"), 0);
    assert_err(f, store_txn(f->s, &too_long, NULL, &f->err), TOO_LARGE);
    txn_put(&too_big, key(f, "a"), (struct str){big, STORE_VALUE_MAX + 1}, 0);
    assert_err(f, store_txn(f->s, &too_big, NULL, &f->err), TOO_LARGE);
    for (int i = 0; i < 5; i++)
        txn_put(&heavy, key(f, (char[]){(char)('a' + i), 0}), (struct str){big, 300 << 10}, 0);
    assert_err(f, store_txn(f->s, &heavy, NULL, &f->err), TOO_LARGE);
    for (int i = 0; i <= STORE_OPS_MAX; i++)
        txn_expect(&too_many, key(f, "a"), 0);
    assert_err(f, store_txn(f->s, &too_many, NULL, &f->err), TOO_LARGE);
    assert_ok(f, store_revision(f->s, &after, &f->err));
    assert_int_equal(after, before);

    name[STORE_KEY_MAX] = '\0';
    txn_put(&longest, name, STR("1"), 0);
    assert_ok(f, store_txn(f->s, &longest, NULL, &f->err));
    for (int i = 0; i < STORE_OPS_MAX; i++) {
        snprintf(name, sizeof(name), "%d", i);
        txn_put(&many, key(f, name), STR("1"), 0);
    }
    assert_ok(f, store_txn(f->s, &many, NULL, &f->err));
}

static void bad_keys_are_refused(void **state)
{
    struct fixture *f = *state;
    const char *const bad[] = {"", "a", "a/b", "/a\nb", "/\x01", "/a\x7f", " /a"};
    struct kv kv;
    struct kv_list l;
    struct watch *w;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        _cleanup_(txn_release) struct txn p = {0}, d = {0}, e = {0}, x = {0};
        txn_put(&p, bad[i], STR("1"), 0);
        txn_delete_prefix(&d, bad[i]);
        txn_expect(&e, bad[i], 0);
        txn_delete(&x, bad[i]);
        assert_err(f, store_txn(f->s, &p, NULL, &f->err), INVALID);
        assert_err(f, store_txn(f->s, &d, NULL, &f->err), INVALID);
        assert_err(f, store_txn(f->s, &e, NULL, &f->err), INVALID);
        assert_err(f, store_txn(f->s, &x, NULL, &f->err), INVALID);
        assert_err(f, store_get(f->s, bad[i], &kv, &f->err), INVALID);
        assert_err(f, store_list(f->s, bad[i], &l, &f->err), INVALID);
        assert_err(f, store_watch(f->s, bad[i], 0, &w, &f->err), INVALID);
    }
    assert_err(f, store_watch(f->s, "/", -1, &w, &f->err), INVALID);
}

static void many_stand_or_fall_alone(void **state)
{
    struct fixture *f = *state;
    struct txn t[4] = {0};
    int results[4];
    int64_t rev = put(f, "a", "1"), now;
    txn_expect(&t[0], key(f, "a"), rev);
    txn_put(&t[0], key(f, "a"), STR("2"), 0);
    txn_expect(&t[1], key(f, "a"), rev); /* the first changed it */
    txn_put(&t[1], key(f, "b"), STR("no"), 0);
    txn_expect(&t[2], key(f, "a"), rev + 1);
    txn_put(&t[2], key(f, "c"), STR("3"), 0);
    txn_put(&t[3], key(f, "d"), STR("4"), 0x7fffffff); /* no such lease */
    assert_ok(f, store_txn_many(f->s, t, 4, results, NULL, &f->err));
    assert_int_equal(results[0], 0);
    assert_int_equal(results[1], -ERR_CONFLICT);
    assert_int_equal(results[2], 0);
    assert_int_equal(results[3], -ERR_NOT_FOUND);
    assert_string_equal(value(f, "a"), "2");
    assert_string_equal(value(f, "b"), "");
    assert_string_equal(value(f, "c"), "3");
    assert_string_equal(value(f, "d"), "");
    assert_ok(f, store_revision(f->s, &now, &f->err));
    assert_int_equal(now, rev + 2);
    for (size_t i = 0; i < 4; i++)
        txn_release(&t[i]);
}

static void many_fail_with_a_bad_one(void **state)
{
    struct fixture *f = *state;
    struct txn t[2] = {0};
    int results[2];
    txn_put(&t[0], key(f, "a"), STR("1"), 0);
    txn_put(&t[1], "no-slash", STR("1"), 0);
    assert_err(f, store_txn_many(f->s, t, 2, results, NULL, &f->err), INVALID);
    assert_string_equal(value(f, "a"), "");
    txn_release(&t[0]);
    txn_release(&t[1]);
    assert_ok(f, store_txn_many(f->s, NULL, 0, NULL, NULL, &f->err));
}

/* -- watches -- */

static void a_watch_begins_now(void **state)
{
    struct fixture *f = *state;
    _cleanup_(watch_closep) struct watch *w = NULL;
    put(f, "a", "0");
    assert_ok(f, store_watch(f->s, f->prefix, 0, &w, &f->err));
    expect_no_event(f, w);
    assert_false(readable(watch_fd(w), 0));
    int64_t made = put(f, "a", "1"), gone = del(f, "a");
    assert_true(readable(watch_fd(w), PATIENCE_MS));
    expect_event(f, w, made, "a", "1");
    expect_event(f, w, gone, "a", NULL);
    expect_no_event(f, w);
}

static void a_watch_begins_at_a_revision(void **state)
{
    struct fixture *f = *state;
    put(f, "a", "0");
    int64_t from = put(f, "a", "1"), then = put(f, "b", "2"), gone = del(f, "a");
    _cleanup_(watch_closep) struct watch *w = NULL, *next = NULL;
    assert_ok(f, store_watch(f->s, f->prefix, from, &w, &f->err));
    assert_true(readable(watch_fd(w), PATIENCE_MS));
    expect_event(f, w, from, "a", "1");
    expect_event(f, w, then, "b", "2");
    expect_event(f, w, gone, "a", NULL);
    expect_no_event(f, w);
    assert_ok(f, store_watch(f->s, f->prefix, gone + 1, &next, &f->err));
    expect_no_event(f, next);
    int64_t last = put(f, "c", "3");
    expect_event(f, next, last, "c", "3");
    expect_event(f, w, last, "c", "3");
}

static void a_watch_may_begin_in_the_future(void **state)
{
    struct fixture *f = *state;
    _cleanup_(watch_closep) struct watch *w = NULL;
    int64_t rev = put(f, "a", "0");
    assert_ok(f, store_watch(f->s, f->prefix, rev + 2, &w, &f->err));
    put(f, "a", "1");
    int64_t second = put(f, "a", "2");
    expect_event(f, w, second, "a", "2");
}

static void a_watch_knows_its_prefix(void **state)
{
    struct fixture *f = *state;
    _cleanup_(watch_closep) struct watch *w = NULL, *one = NULL;
    assert_ok(f, store_watch(f->s, key(f, "b/"), 0, &w, &f->err));
    assert_ok(f, store_watch(f->s, key(f, "b/1"), 0, &one, &f->err));
    put(f, "a", "no");
    put(f, "b", "no");
    put(f, "b0", "no");
    int64_t first = put(f, "b/1", "yes"), second = put(f, "b/2", "yes");
    expect_event(f, w, first, "b/1", "yes");
    expect_event(f, w, second, "b/2", "yes");
    expect_no_event(f, w);
    expect_event(f, one, first, "b/1", "yes");
    expect_no_event(f, one);
}

static void a_watch_of_several_prefixes_has_one_order(void **state)
{
    struct fixture *f = *state;
    _cleanup_(watch_closep) struct watch *w = NULL;
    const char *const prefixes[] = {key(f, "a/"), key(f, "c/"), NULL};
    assert_ok(f, store_watch_many(f->s, prefixes, 0, &w, &f->err));
    int64_t first = put(f, "c/1", "1"), between = put(f, "b/1", "no"), rev;
    _cleanup_(txn_release) struct txn t = {0};
    txn_put(&t, key(f, "c/2"), STR("2"), 0);
    txn_put(&t, key(f, "b/2"), STR("no"), 0);
    txn_put(&t, key(f, "a/1"), STR("3"), 0);
    assert_ok(f, store_txn(f->s, &t, &rev, &f->err));
    assert_true(watch_revision(w) < first);
    expect_event(f, w, first, "c/1", "1");
    expect_event(f, w, rev, "c/2", "2");
    assert_in_range(watch_revision(w), first - 1, rev - 1); /* it has only begun */
    expect_event(f, w, rev, "a/1", "3");
    expect_no_event(f, w);
    assert_int_equal(watch_revision(w), rev);
    assert_true(between < rev);
    int64_t elsewhere = put(f, "b/3", "no");
    expect_no_event(f, w);
    assert_int_equal(watch_revision(w), elsewhere);
}

static void several_prefixes_are_listed_at_one_revision(void **state)
{
    struct fixture *f = *state;
    _cleanup_(kv_list_release) struct kv_list l = {0};
    const char *const prefixes[] = {key(f, "c/"), key(f, "x/"), key(f, "a/"), NULL};
    put(f, "a/1", "1");
    put(f, "b/1", "2");
    put(f, "c/2", "3");
    put(f, "c/1", "4");
    assert_ok(f, store_list_many(f->s, prefixes, &l, &f->err));
    assert_int_equal(l.n, 3);
    assert_string_equal(l.items[0].key, key(f, "c/1"));
    assert_string_equal(l.items[1].key, key(f, "c/2"));
    assert_string_equal(l.items[2].key, key(f, "a/1"));
}

static void a_watch_keeps_the_order_within(void **state)
{
    struct fixture *f = *state;
    _cleanup_(watch_closep) struct watch *w = NULL;
    _cleanup_(txn_release) struct txn t = {0};
    int64_t made = put(f, "old", "1"), rev;
    assert_ok(f, store_watch(f->s, f->prefix, 0, &w, &f->err));
    txn_put(&t, key(f, "z"), STR("1"), 0);
    txn_delete(&t, key(f, "old"));
    txn_put(&t, key(f, "a"), STR("2"), 0);
    assert_ok(f, store_txn(f->s, &t, &rev, &f->err));
    assert_true(rev > made);
    expect_event(f, w, rev, "z", "1");
    expect_event(f, w, rev, "old", NULL);
    expect_event(f, w, rev, "a", "2");
    expect_no_event(f, w);
}

static void a_watch_hears_no_failed_transaction(void **state)
{
    struct fixture *f = *state;
    _cleanup_(watch_closep) struct watch *w = NULL;
    _cleanup_(txn_release) struct txn t = {0};
    assert_ok(f, store_watch(f->s, f->prefix, 0, &w, &f->err));
    txn_put(&t, key(f, "a"), STR("1"), 0);
    txn_expect(&t, key(f, "b"), 1);
    assert_err(f, store_txn(f->s, &t, NULL, &f->err), CONFLICT);
    int64_t rev = put(f, "c", "1");
    expect_event(f, w, rev, "c", "1");
}

static void every_watch_is_woken(void **state)
{
    struct fixture *f = *state;
    struct watch *w[20];
    struct store *other;
    assert_ok(f, store_open(f->url, &other, &f->err));
    for (size_t i = 0; i < ARRAY_LEN(w); i++) {
        assert_ok(f, store_watch(i % 2 ? f->s : other, f->prefix, 0, &w[i], &f->err));
        expect_no_event(f, w[i]);
    }
    for (int round = 0; round < 5; round++) {
        int64_t rev = put(f, "a", "1");
        for (size_t i = 0; i < ARRAY_LEN(w); i++) {
            assert_true(readable(watch_fd(w[i]), PATIENCE_MS));
            expect_event(f, w[i], rev, "a", "1");
            expect_no_event(f, w[i]);
        }
        for (size_t i = 0; i < ARRAY_LEN(w); i++)
            assert_false(readable(watch_fd(w[i]), 0));
    }
    for (size_t i = 0; i < ARRAY_LEN(w); i++)
        watch_close(w[i]);
    store_close(other);
}

static void a_watch_may_be_closed_amid_its_events(void **state)
{
    struct fixture *f = *state;
    struct watch *w, *other;
    assert_ok(f, store_watch(f->s, f->prefix, 0, &w, &f->err));
    assert_ok(f, store_watch(f->s, f->prefix, 0, &other, &f->err));
    int64_t first = put(f, "a", "1"), second = put(f, "b", "2");
    expect_event(f, w, first, "a", "1");
    watch_close(w);
    expect_event(f, other, first, "a", "1");
    expect_event(f, other, second, "b", "2");
    watch_close(other);
}

/* More than any buffer on the way holds, read late; values of many sizes. */
static void a_watch_far_behind_catches_up(void **state)
{
    struct fixture *f = *state;
    enum { N = 3000 };
    _cleanup_(watch_closep) struct watch *w = NULL;
    _cleanup_free_ char *filler = xmalloc(200000);
    struct txn t[N] = {0};
    int results[N];
    int64_t before;
    memset(filler, 'x', 200000);
    assert_ok(f, store_revision(f->s, &before, &f->err));
    assert_ok(f, store_watch(f->s, f->prefix, 0, &w, &f->err));
    for (size_t i = 0; i < N; i++) {
        _cleanup_free_ char *name = xasprintf("%zu", i % 100);
        txn_put(&t[i], key(f, name), (struct str){filler, i % 50 ? i : 200000}, 0);
    }
    assert_ok(f, store_txn_many(f->s, t, N, results, NULL, &f->err));
    for (size_t i = 0; i < N; i++) {
        _cleanup_(kv_release) struct kv kv = next_event(f, w);
        _cleanup_free_ char *name = xasprintf("%zu", i % 100);
        assert_int_equal(results[i], 0);
        assert_int_equal(kv.mod_rev, before + 1 + (int64_t)i);
        assert_string_equal(kv.key, key(f, name));
        assert_int_equal(kv.value_len, i % 50 ? i : 200000);
        txn_release(&t[i]);
    }
    expect_no_event(f, w);
}

/* -- compaction -- */

static void compaction_keeps_what_is(void **state)
{
    struct fixture *f = *state;
    _cleanup_(kv_list_release) struct kv_list l = {0};
    int64_t made = put(f, "a", "1");
    put(f, "a", "2");
    int64_t kept = put(f, "b", "1");
    put(f, "c", "1");
    int64_t last = del(f, "c"), now;
    assert_ok(f, store_compact(f->s, last, &f->err));
    assert_ok(f, store_list(f->s, f->prefix, &l, &f->err));
    assert_int_equal(l.n, 2);
    assert_string_equal(l.items[0].value, "2");
    assert_int_equal(l.items[0].create_rev, made);
    assert_int_equal(l.items[1].mod_rev, kept);
    assert_ok(f, store_revision(f->s, &now, &f->err));
    assert_int_equal(now, last);
    assert_int_equal(put(f, "b", "2"), last + 1);
    assert_string_equal(value(f, "b"), "2");
}

static void what_was_compacted_cannot_be_watched(void **state)
{
    struct fixture *f = *state;
    struct kv kv;
    int64_t first = put(f, "a", "1"), second = put(f, "a", "2"), third = put(f, "a", "3");
    assert_ok(f, store_compact(f->s, second, &f->err));
    for (int64_t from = first; from <= third; from++) {
        _cleanup_(watch_closep) struct watch *w = NULL;
        int r = store_watch(f->s, f->prefix, from, &w, &f->err);
        while (r == 0 && (r = watch_next(w, &kv, &f->err)) == 0)
            assert_true(readable(watch_fd(w), PATIENCE_MS));
        if (from > second) {
            assert_int_equal(r, 1);
            assert_int_equal(kv.mod_rev, third);
            kv_release(&kv);
        } else {
            assert_int_equal(r, -ERR_COMPACTED);
        }
    }
}

static void a_slow_watch_is_told_of_compaction(void **state)
{
    struct fixture *f = *state;
    struct watch *slow, *quick;
    struct kv kv;
    int r;
    assert_ok(f, store_watch(f->s, f->prefix, 0, &slow, &f->err));
    assert_ok(f, store_watch(f->s, f->prefix, 0, &quick, &f->err));
    int64_t first = put(f, "a", "1"), second = put(f, "a", "2");
    expect_event(f, quick, first, "a", "1");
    expect_event(f, quick, second, "a", "2");
    expect_no_event(f, quick);
    assert_ok(f, store_compact(f->s, second, &f->err));
    int64_t third = put(f, "a", "3");
    expect_event(f, quick, third, "a", "3"); /* has missed nothing */
    /* All of it (a backend may have sent it before), or the truth: never a gap. */
    while ((r = watch_next(slow, &kv, &f->err)) == 0)
        assert_true(readable(watch_fd(slow), PATIENCE_MS));
    if (r > 0) {
        assert_int_equal(kv.mod_rev, first);
        kv_release(&kv);
        expect_event(f, slow, second, "a", "2");
        expect_event(f, slow, third, "a", "3");
    } else {
        assert_int_equal(r, -ERR_COMPACTED);
    }
    watch_close(slow);
    watch_close(quick);
}

static void compaction_refuses_wrong_revisions(void **state)
{
    struct fixture *f = *state;
    int64_t rev = put(f, "a", "1");
    put(f, "a", "2");
    assert_err(f, store_compact(f->s, rev + 5, &f->err), INVALID);
    assert_err(f, store_compact(f->s, -1, &f->err), INVALID);
    assert_ok(f, store_compact(f->s, rev, &f->err));
    assert_ok(f, store_compact(f->s, rev, &f->err)); /* again, and earlier: nothing to do */
    assert_ok(f, store_compact(f->s, rev - 1, &f->err));
    assert_string_equal(value(f, "a"), "2");
}

/* Listing, then watching from the next revision on, is complete whatever is compacted between. */
static void a_watch_goes_on_where_a_list_ends(void **state)
{
    struct fixture *f = *state;
    _cleanup_(kv_list_release) struct kv_list l = {0};
    _cleanup_(watch_closep) struct watch *w = NULL;
    put(f, "a", "1");
    put(f, "b", "1");
    del(f, "b");
    assert_ok(f, store_list(f->s, f->prefix, &l, &f->err));
    assert_ok(f, store_compact(f->s, l.revision, &f->err));
    assert_ok(f, store_watch(f->s, f->prefix, l.revision + 1, &w, &f->err));
    expect_no_event(f, w);
    int64_t rev = put(f, "b", "2");
    expect_event(f, w, rev, "b", "2");
}

/* -- urls -- */

static void unknown_urls_are_refused(void **state)
{
    struct fixture *f = *state;
    struct store *s;
    assert_err(f, store_open("", &s, &f->err), INVALID);
    assert_err(f, store_open("/var/lib/state.db", &s, &f->err), INVALID);
    assert_err(f, store_open("zookeeper://localhost", &s, &f->err), INVALID);
    assert_non_null(strstr(f->err.hint, "sqlite://"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(values_come_back),
        FIXTURE_TEST(nothing_is_got_where_nothing_is),
        FIXTURE_TEST(any_bytes_and_sizes_are_kept),
        FIXTURE_TEST(a_list_is_sorted_and_bounded),
        FIXTURE_TEST(a_list_of_nothing_is_empty),
        FIXTURE_TEST(a_prefix_may_end_in_the_last_byte),
        FIXTURE_TEST(a_transaction_is_all_or_nothing),
        FIXTURE_TEST(a_transaction_expects_revisions),
        FIXTURE_TEST(a_transaction_has_one_revision),
        FIXTURE_TEST(what_changes_nothing_has_no_revision),
        FIXTURE_TEST(a_prefix_is_deleted),
        FIXTURE_TEST(a_key_is_written_once),
        FIXTURE_TEST(keys_and_values_have_limits),
        FIXTURE_TEST(bad_keys_are_refused),
        FIXTURE_TEST(many_stand_or_fall_alone),
        FIXTURE_TEST(many_fail_with_a_bad_one),
        FIXTURE_TEST(a_watch_begins_now),
        FIXTURE_TEST(a_watch_begins_at_a_revision),
        FIXTURE_TEST(a_watch_may_begin_in_the_future),
        FIXTURE_TEST(a_watch_knows_its_prefix),
        FIXTURE_TEST(a_watch_keeps_the_order_within),
        FIXTURE_TEST(a_watch_of_several_prefixes_has_one_order),
        FIXTURE_TEST(several_prefixes_are_listed_at_one_revision),
        FIXTURE_TEST(a_watch_hears_no_failed_transaction),
        FIXTURE_TEST(every_watch_is_woken),
        FIXTURE_TEST(a_watch_may_be_closed_amid_its_events),
        FIXTURE_TEST(a_watch_far_behind_catches_up),
        FIXTURE_TEST(compaction_keeps_what_is),
        FIXTURE_TEST(what_was_compacted_cannot_be_watched),
        FIXTURE_TEST(a_slow_watch_is_told_of_compaction),
        FIXTURE_TEST(compaction_refuses_wrong_revisions),
        FIXTURE_TEST(a_watch_goes_on_where_a_list_ends),
        FIXTURE_TEST(unknown_urls_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
