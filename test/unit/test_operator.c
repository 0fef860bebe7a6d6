#include "cm.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "model/nouns.h"
#include "operator/dirty.h"
#include "operator/operator.h"
#include "os/file.h"
#include "os/spawn.h"

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

static void write_anothers(struct op *op, void *ctx, int64_t now)
{
    (void)ctx;
    (void)now;
    operator_put(op, "/apps/x/desired", &desired_schema, &(struct desired){.release = 1});
}

static void an_operator_that_writes_what_is_not_its_own_aborts(void **state)
{
    struct world *w = *state;
    pid_t child = fork();
    if (!child) {
        signal(SIGABRT, SIG_DFL);
        if (!freopen("/dev/null", "w", stderr))
            _exit(1);
        static const struct schema *const watches[] = {&app_schema, NULL};
        struct operator_desc d = {
            .name = "gateway", .watches = watches, .reconcile = write_anothers};
        operator_run(&d, &w->config, NULL);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void an_operator_converges_and_sees_its_own_writes(void **state)
{
    struct world *w = *state;
    put(w, "/apps/x/desired", "{\"release\":0,\"generation\":0}");
    static const struct schema *const watches[] = {&app_schema, &instance_schema, NULL};
    struct operator_desc d = {
        .name = "api", .watches = watches, .start = count_start, .reconcile = count_reconcile};
    struct counter c = {0};
    assert_int_equal(operator_run(&d, &w->config, &c), 0);
    assert_true(c.started);
    assert_int_equal(c.passes, 4);
    int64_t revision;
    assert_ok(store_revision(w->store, &revision, &w->err), w->err);
    /* Exactly three writes, none was planned on stale sight; and it came to the store and left. */
    assert_int_equal(revision, 1 + 3 + 2);
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
    static const struct schema *const watches[] = {&instance_schema, &app_schema, NULL};
    struct operator_desc d = {
        .name = "pairs", .watches = watches, .subject = subject_and_write, .reconcile = note_taken};
    pass_world = (struct pass_world){.world = w, .taken = BUF_INIT};
    put(w, "/apps/a/desired", "{\"release\":0,\"generation\":0}");
    put(w, "/instances/a/web/1", "{}");
    assert_int_equal(operator_run(&d, &w->config, &pass_world), 0);
    assert_string_equal(pass_world.taken.ptr, "a | b c | ");
    buf_release(&pass_world.taken);
}

/* --- several of one operator ------------------------------------------------------------------ */

/* `test_operator lead ROOT STORE_URL NODE`: an operator of scope cluster, which for each byte on
 * stdin puts its node into /apps/x and says on stdout what became of it. */
static uv_poll_t orders;

static void on_answer(void *arg, int r, const struct err *err)
{
    (void)arg;
    (void)err;
    printf("%s\n", r < 0 ? err_code_name((enum err_code) - r) : "written");
    fflush(stdout);
}

static void on_order(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct op *op = poll->data;
    struct txn t = {0};
    char c;
    if (read(STDIN_FILENO, &c, 1) != 1)
        exit(0);
    txn_put(&t, "/apps/x", str_of(operator_node(op)), 0);
    operator_commit(op, &t, on_answer, NULL);
}

static void take_orders(struct op *op, void *ctx, int64_t now)
{
    (void)ctx;
    (void)now;
    if (orders.data)
        return;
    orders.data = op;
    uv_poll_init(operator_loop(op), &orders, STDIN_FILENO);
    uv_poll_start(&orders, UV_READABLE, on_order);
    puts("leads");
    fflush(stdout);
}

static int lead(char **args)
{
    static struct config config; /* ends with the process */
    struct err err;
    _cleanup_free_ char *settings =
        xasprintf("store = %s\nnode = %s\nlease = 2\n", args[1], args[2]);
    if (config_parse(args[0], str_of(settings), &config, &err) < 0)
        return 1;
    static const struct schema *const watches[] = {&app_schema, NULL};
    struct operator_desc d = {.name = "fake_leader",
                              .scope = SCOPE_CLUSTER,
                              .watches = watches,
                              .reconcile = take_orders};
    return operator_run(&d, &config, NULL);
}

struct candidate {
    pid_t pid;
    int in, out;
};

static struct candidate stand(struct world *w, const char *node)
{
    _cleanup_free_ char *root = path_join(w->root, "%s", node);
    const char *argv[] = {"/proc/self/exe", "lead", root, w->config.store_url, node, NULL};
    int in[2], out[2];
    assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
    struct spawn s = {.argv = argv, .fds = {in[0], out[1], 2}, .die_with_parent = true};
    struct candidate c = {.pid = spawn_start(&s, &w->err), .in = in[1], .out = out[0]};
    assert_true(c.pid > 0);
    close(in[0]);
    close(out[1]);
    return c;
}

/* Its next line; valid until the next call. */
static const char *hear(const struct candidate *c)
{
    static char line[64];
    size_t n = 0;
    while (n < sizeof(line) - 1 && read(c->out, &line[n], 1) == 1 && line[n] != '\n')
        n++;
    line[n] = '\0';
    return line;
}

static void says(const struct candidate *c, const char *expected)
{
    assert_string_equal(hear(c), expected);
}

static void order(const struct candidate *c) { assert_int_equal(write(c->in, ".", 1), 1); }

static void end(struct candidate *c, int sig)
{
    kill(c->pid, sig);
    spawn_wait(c->pid);
    close(c->in);
    close(c->out);
}

static void a_killed_leader_is_replaced(void **state)
{
    struct world *w = *state;
    struct candidate a = stand(w, "a");
    says(&a, "leads");
    struct candidate b = stand(w, "b");
    end(&a, SIGKILL);
    says(&b, "leads"); /* once a's lease is over */
    order(&b);
    says(&b, "written");
    end(&b, SIGTERM);
    _cleanup_(kv_release) struct kv kv = {0};
    assert_int_equal(store_get(w->store, "/leaders/fake_leader", &kv, &w->err), -ERR_NOT_FOUND);
}

static void a_leader_that_slept_writes_nothing_more(void **state)
{
    struct world *w = *state;
    struct candidate a = stand(w, "a");
    says(&a, "leads");
    order(&a);
    says(&a, "written");
    struct candidate b = stand(w, "b");
    kill(a.pid, SIGSTOP);
    order(&a); /* the first thing it sees when it wakes */
    says(&b, "leads");
    order(&b);
    says(&b, "written");
    kill(a.pid, SIGCONT);
    says(&a, "conflict");
    _cleanup_(kv_release) struct kv kv = {0};
    assert_ok(store_get(w->store, "/apps/x", &kv, &w->err), w->err);
    assert_string_equal(kv.value, "b");
    end(&a, SIGTERM);
    order(&b); /* a's end took nothing from b */
    says(&b, "written");
    end(&b, SIGTERM);
}

static void one_that_lost_its_lease_gets_another(void **state)
{
    struct world *w = *state;
    struct candidate a = stand(w, "a");
    says(&a, "leads");
    _cleanup_(kv_release) struct kv before = {0}, after = {0};
    assert_ok(store_get(w->store, "/leaders/fake_leader", &before, &w->err), w->err);
    assert_ok(store_lease_revoke(w->store, before.lease, &w->err), w->err);
    const char *answer;
    do /* refused until it leads again */
        order(&a);
    while (streq(answer = hear(&a), "conflict"));
    assert_string_equal(answer, "written");
    assert_ok(store_get(w->store, "/leaders/fake_leader", &after, &w->err), w->err);
    assert_true(after.lease && after.lease != before.lease);
    end(&a, SIGTERM);
}

static void started_again_it_takes_over_from_its_dead_predecessor(void **state)
{
    struct world *w = *state;
    struct candidate a = stand(w, "a");
    says(&a, "leads");
    _cleanup_(kv_release) struct kv kv = {0};
    assert_ok(store_get(w->store, "/leaders/fake_leader", &kv, &w->err), w->err);
    end(&a, SIGTERM);
    _cleanup_(txn_release) struct txn t = {0};
    int64_t lease; /* of one that was killed, and would last for a day */
    assert_ok(store_lease_grant(w->store, 86400, &lease, &w->err), w->err);
    txn_put(&t, "/leaders/fake_leader", (struct str){kv.value, kv.value_len}, lease);
    assert_ok(store_txn(w->store, &t, NULL, &w->err), w->err);
    a = stand(w, "a");
    says(&a, "leads");
    end(&a, SIGTERM);
}

int main(int argc, char **argv)
{
    if (argc == 5 && streq(argv[1], "lead"))
        return lead(argv + 2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_mirror_keeps_the_newest),
        cmocka_unit_test(what_is_dirty_is_taken_once),
        cmocka_unit_test(what_waits_is_dirty_in_time),
        WORLD_TEST(a_pass_takes_what_changed_and_sees_transactions_whole),
        WORLD_TEST(a_killed_leader_is_replaced),
        WORLD_TEST(a_leader_that_slept_writes_nothing_more),
        WORLD_TEST(one_that_lost_its_lease_gets_another),
        WORLD_TEST(started_again_it_takes_over_from_its_dead_predecessor),
        WORLD_TEST(an_operator_converges_and_sees_its_own_writes),
        WORLD_TEST(an_operator_that_writes_what_is_not_its_own_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
