#include "cm.h"

#include <fcntl.h>
#include <signal.h>

#include "model/nouns.h"
#include "operator/dirty.h"
#include "operator/operator.h"
#include "os/file.h"

static struct kv make_kv(const char *key, const char *value, int64_t rev)
{
    return (struct kv){.key = xstrdup(key),
                       .value = value ? xstrdup(value) : NULL,
                       .value_len = value ? strlen(value) : 0,
                       .mod_rev = rev};
}

static bool apply(struct mirror *m, const char *key, const char *value, int64_t rev)
{
    struct kv kv = make_kv(key, value, rev);
    bool changed = mirror_apply(m, &kv);
    kv_release(&kv);
    return changed;
}

static void the_mirror_keeps_the_newest(void **state)
{
    (void)state;
    struct mirror *m = mirror_new();
    assert_true(apply(m, "/apps/b", "{\"name\":\"b\"}", 2));
    assert_true(apply(m, "/apps/a", "{\"name\":\"a\"}", 3));
    assert_false(apply(m, "/apps/b", "{\"name\":\"old\"}", 1));
    assert_true(apply(m, "/apps/c", "not json", 4));
    int64_t rev;
    const struct app *b = mirror_get(m, "/apps/b", &app_schema, &rev);
    assert_string_equal(b->name, "b");
    assert_int_equal(rev, 2);
    assert_null(mirror_get(m, "/apps/c", &app_schema, &rev));
    assert_int_equal(rev, 4);
    _cleanup_(buf_release) struct buf order = BUF_INIT;
    for (struct mirror_iter i = mirror_iter(m, "/apps/"); mirror_next(&i);)
        buf_addf(&order, "%s ", i.key);
    assert_string_equal(order.ptr, "/apps/a /apps/b /apps/c ");
    assert_true(apply(m, "/apps/b", NULL, 5));
    assert_null(mirror_get(m, "/apps/b", &app_schema, &rev));
    mirror_forget(m, "/apps/", 3);
    assert_null(mirror_get(m, "/apps/a", &app_schema, &rev));
    mirror_get(m, "/apps/c", &app_schema, &rev);
    assert_int_equal(rev, 4);
    mirror_free(m);
}

/* An operator that raises `generation` to 3, one a pass, and then ends itself. */
struct counter {
    int passes;
    bool started;
};

static int count_start(struct op *op, void *ctx, struct err *err)
{
    (void)err;
    struct counter *c = ctx;
    c->started = mirror_get(operator_mirror(op), "/apps/x/desired", &desired_schema, NULL) != NULL;
    return 0;
}

static void count_reconcile(struct op *op, void *ctx, int64_t now)
{
    (void)now;
    struct counter *c = ctx;
    const struct desired *was =
        mirror_get(operator_mirror(op), "/apps/x/desired", &desired_schema, NULL);
    c->passes++;
    if (was->generation == 3) {
        raise(SIGTERM);
        return;
    }
    struct desired next;
    model_copy(&desired_schema, was, &next);
    next.generation++;
    operator_put(op, "/apps/x/desired", &desired_schema, &next);
    desired_release(&next);
    operator_poke(op);
}

#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* A Davit's settings and store, in a fresh folder. */
struct world {
    char root[32];
    struct config config;
    struct store *store;
    struct err err;
};

static int setup(void **state)
{
    struct world *w = *state = xcalloc(1, sizeof(*w));
    memcpy(w->root, "/tmp/davit-op-XXXXXX", sizeof("/tmp/davit-op-XXXXXX"));
    assert_non_null(mkdtemp(w->root));
    assert_ok(config_parse(w->root, STR(""), &w->config, &w->err), w->err);
    _cleanup_free_ char *dir = path_join(w->config.state, "store");
    assert_ok(dir_make(dir, 0755, &w->err), w->err);
    assert_ok(store_open(w->config.store_url, &w->store, &w->err), w->err);
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    store_close(w->store);
    config_release(&w->config);
    assert_ok(dir_remove(w->root, &w->err), w->err);
    free(w);
    return 0;
}

static void put(struct world *w, const char *key, const char *value)
{
    _cleanup_(txn_release) struct txn t = {0};
    txn_put(&t, key, str_of(value), 0);
    assert_ok(store_txn(w->store, &t, NULL, &w->err), w->err);
}

static void an_operator_converges_and_sees_its_own_writes(void **state)
{
    struct world *w = *state;
    put(w, "/apps/x/desired", "{\"release\":0,\"generation\":0}");
    static const char *const prefixes[] = {"/apps/", "/instances/", NULL};
    struct operator_desc d = {
        .name = "count", .prefixes = prefixes, .start = count_start, .reconcile = count_reconcile};
    struct counter c = {0};
    assert_int_equal(operator_run(&d, &w->config, &c), 0);
    assert_true(c.started);
    assert_int_equal(c.passes, 4);
    int64_t revision;
    assert_ok(store_revision(w->store, &revision, &w->err), w->err);
    assert_int_equal(revision, 4); /* exactly three writes: none was planned on stale sight */
}

static void what_is_dirty_is_taken_once(void **state)
{
    (void)state;
    struct dirty d = {0};
    dirty_add(&d, STR("shop"));
    dirty_add(&d, STR("shop2"));
    dirty_add(&d, STR("blog"));
    dirty_add(&d, STR("shop"));
    assert_string_equal(dirty_take(&d), "blog");
    dirty_add(&d, STR("a")); /* before the one just taken: for the next pass */
    dirty_add(&d, STR("shop1"));
    assert_string_equal(dirty_take(&d), "shop");
    dirty_add(&d, STR("shop"));
    assert_string_equal(dirty_take(&d), "shop1");
    assert_string_equal(dirty_take(&d), "shop2");
    assert_null(dirty_take(&d));
    dirty_settle(&d, true);
    assert_string_equal(dirty_take(&d), "a");
    assert_string_equal(dirty_take(&d), "shop");
    assert_null(dirty_take(&d));
    dirty_settle(&d, false); /* what they wanted could not be written */
    assert_string_equal(dirty_take(&d), "a");
    assert_string_equal(dirty_take(&d), "shop");
    dirty_settle(&d, true);
    assert_null(dirty_take(&d));
    dirty_release(&d);
}

static void what_waits_is_dirty_in_time(void **state)
{
    (void)state;
    struct dirty d = {0};
    dirty_add_at(&d, STR("shop"), 30);
    dirty_add_at(&d, STR("shop"), 20);
    dirty_add_at(&d, STR("shop"), 40);
    dirty_add_at(&d, STR("blog"), 25);
    assert_int_equal(dirty_due(&d, 19), 20);
    assert_null(dirty_take(&d));
    dirty_settle(&d, true);
    assert_int_equal(dirty_due(&d, 20), 25);
    assert_string_equal(dirty_take(&d), "shop");
    dirty_add_at(&d, STR("shop"), 50); /* what it asks for when it is looked at */
    dirty_settle(&d, true);
    dirty_add(&d, STR("blog"));
    assert_string_equal(dirty_take(&d), "blog"); /* which makes its time void */
    dirty_settle(&d, true);
    assert_int_equal(dirty_due(&d, 49), 50);
    dirty_release(&d);
}

/* Each pass notes what it took. At its first key of an operator's mirror the subject's function has
 * somebody else write two keys in one transaction. */
static struct pass_world {
    struct world *world;
    struct buf taken;
    int passes, writes;
} pass_world;

static bool subject_and_write(const char *key, struct str *ret)
{
    struct pass_world *p = &pass_world;
    if (streq(key, "/apps/b/desired") && !p->writes++) {
        _cleanup_(txn_release) struct txn t = {0};
        struct err err;
        txn_put(&t, "/apps/c", STR("{}"), 0);
        txn_put(&t, "/instances/c", STR("{}"), 0);
        assert_ok(store_txn(p->world->store, &t, NULL, &err), err);
    }
    return subject_app(key, ret);
}

static void note_taken(struct op *op, void *ctx, int64_t now)
{
    (void)now;
    struct pass_world *p = ctx;
    int64_t app, instance;
    for (const char *name; (name = operator_take(op));)
        buf_addf(&p->taken, "%s ", name);
    buf_adds(&p->taken, "| ");
    mirror_get(operator_mirror(op), "/apps/c", &desired_schema, &app);
    mirror_get(operator_mirror(op), "/instances/c", &desired_schema, &instance);
    assert_int_equal(app, instance);
    if (p->passes++ == 0)
        put(p->world, "/apps/b/desired", "{\"release\":0,\"generation\":1}");
    else if (app)
        raise(SIGTERM);
}

static void a_pass_takes_what_changed_and_sees_transactions_whole(void **state)
{
    struct world *w = *state;
    static const char *const prefixes[] = {"/instances/", "/apps/", NULL};
    struct operator_desc d = {.name = "pairs",
                              .prefixes = prefixes,
                              .subject = subject_and_write,
                              .reconcile = note_taken};
    pass_world = (struct pass_world){.world = w, .taken = BUF_INIT};
    put(w, "/apps/a/desired", "{\"release\":0,\"generation\":0}");
    put(w, "/instances/a/web/1", "{}");
    assert_int_equal(operator_run(&d, &w->config, &pass_world), 0);
    assert_string_equal(pass_world.taken.ptr, "a | b c | ");
    buf_release(&pass_world.taken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_mirror_keeps_the_newest),
        cmocka_unit_test(what_is_dirty_is_taken_once),
        cmocka_unit_test(what_waits_is_dirty_in_time),
        WORLD_TEST(a_pass_takes_what_changed_and_sees_transactions_whole),
        WORLD_TEST(an_operator_converges_and_sees_its_own_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
