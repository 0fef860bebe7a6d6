/* The gateway's plan as tables of cases, and its promises checked on thousands of random worlds. */
#include "cm.h"

#include "gateway/plan.h"

/* --- worlds and states as text -----------------------------------------------------------------
 */

struct scene {
    struct wanted want;
    struct state have;
    struct strv texts; /* what the wants point into */
};

static void scene_release(struct scene *s)
{
    free(s->want.apps);
    free(s->want.hosts);
    free(s->want.instances);
    state_release(&s->have);
    strv_release(&s->texts);
}

static const char *keep(struct scene *s, const char *text)
{
    strv_add(&s->texts, text);
    return s->texts.items[s->texts.n - 1];
}

#define MORE(array, n) ((array) = xrealloc((array), ((n) + 1) * sizeof(*(array))), &(array)[(n)++])

static enum instance_state state_named(const char *name)
{
    int i = 0;
    while (!streq(instance_state_names[i], name))
        i++;
    return (enum instance_state)i;
}

static void add_instance(struct scene *s, const char *app, const char *id, const char *state,
                         int restarts)
{
    *MORE(s->want.instances, s->want.n_instances) =
        (struct want_instance){.app = keep(s, app),
                               .id = keep(s, id),
                               .ip = "10.0.0.1",
                               .index = 1,
                               .port = 5000,
                               .restarts = restarts,
                               .state = state_named(state),
                               .since_us = 0};
}

/* One line: "only", "app A [maintenance]", "host H A", "instance A ID STATE [RESTARTS]", "pool N",
 * "row TABLE KEY VALUE", "server BACKEND NAME [stopped REQUESTS [former]]". */
static void read_line(struct scene *s, const char *line)
{
    char verb[16] = "", a[64] = "", b[64] = "", c[64] = "", d[64] = "";
    sscanf(line, "%15s %63s %63s %63s %63s", verb, a, b, c, d);
    if (streq(verb, "app")) {
        *MORE(s->want.apps, s->want.n_apps) = (struct want_app){keep(s, a), *b != '\0'};
    } else if (streq(verb, "host")) {
        *MORE(s->want.hosts, s->want.n_hosts) = (struct want_host){keep(s, a), keep(s, b)};
    } else if (streq(verb, "instance")) {
        add_instance(s, a, b, c, atoi(d));
    } else if (streq(verb, "only")) {
        s->want.partial = true;
    } else if (streq(verb, "pool")) {
        s->have.pool = (size_t)atoi(a);
    } else if (streq(verb, "row")) {
        table_set(&s->have.tables[streq(a, "hosts")  ? TABLE_HOSTS
                                  : streq(a, "wild") ? TABLE_WILD
                                                     : TABLE_APPS],
                  b, c);
    } else {
        assert_string_equal(verb, "server");
        struct server *v = state_add_server(&s->have, a, b, "10.0.0.1:5000");
        v->stopped = streq(c, "stopped");
        v->requests = *d ? atoi(d) : -1;
        v->former = strstr(line, "former") != NULL;
    }
}

static void read_scene(struct scene *s, const char *text)
{
    *s = (struct scene){.want = {.domain = "d", .drain_us = 10}};
    struct str rest = str_of(text);
    while (rest.len) {
        struct str line = str_cut(&rest, '\n');
        _cleanup_free_ char *one = xstrndup(line.ptr, line.len);
        read_line(s, one);
    }
    wanted_sort(&s->want);
}

static void show(const struct plan *p, struct buf *ret)
{
    static const char *const tables[] = {"hosts", "wild", "apps"};
    for (size_t i = 0; i < p->n; i++) {
        const struct action *a = &p->actions[i];
        buf_adds(ret, action_names[a->type]);
        if (a->type == ACTION_GROW)
            buf_addf(ret, " %zu", a->count);
        if (a->type == ACTION_SET || a->type == ACTION_UNSET)
            buf_addf(ret, " %s", tables[a->table]);
        for (const char *const *t = (const char *const[]){a->backend, a->name, a->value, ""};
             !*t || **t; t++)
            if (*t)
                buf_addf(ret, " %s", *t);
        buf_addc(ret, '\n');
    }
}

/* --- cases -------------------------------------------------------------------------------------
 */

#define SHOP_ROUTED "row hosts shop.d shop\nrow apps shop s1\n"

static const struct {
    const char *name, *scene;
    int64_t now_us;
    const char *plan;
} cases[] = {
    {"nothing to do", "pool 2\n", 0, ""},
    {"a new app answers H14", "pool 2\napp shop\n", 0,
     "set apps shop H14\nset hosts shop.d shop\n"},
    {"a first instance: server, then app, then host", "pool 2\napp shop\ninstance shop v1 ready\n",
     0, "add s1 shop:web.1:v1 10.0.0.1:5000\nset apps shop s1\nset hosts shop.d shop\n"},
    {"of one app among others",
     "pool 3\nonly\napp shop\ninstance shop v2 ready\ninstance shop v1 draining\n"
     "row hosts blog.d blog\nrow apps blog s1\nserver s1 blog:web.1:v1\n"
     "server s2 shop:web.1:v1\n",
     0, "add s2 shop:web.1:v2 10.0.0.1:5000\nset apps shop s2\nstop s2 shop:web.1:v1\n"},
    {"all as it should be",
     "pool 2\napp shop\ninstance shop v1 ready\n" SHOP_ROUTED "server s1 shop:web.1:v1\n", 0, ""},
    {"a deploy: the new one first",
     "pool 2\napp shop\ninstance shop v1 draining\ninstance shop v2 ready\n" SHOP_ROUTED
     "server s1 shop:web.1:v1\n",
     0, "add s1 shop:web.1:v2 10.0.0.1:5000\nstop s1 shop:web.1:v1\n"},
    {"waiting for requests",
     "pool 2\napp shop\ninstance shop v1 draining\ninstance shop v2 ready\n" SHOP_ROUTED
     "server s1 shop:web.1:v1 stopped 3\nserver s1 shop:web.1:v2\n",
     9, ""},
    {"not counted yet: wait",
     "pool 2\napp shop\ninstance shop v1 draining\ninstance shop v2 ready\n" SHOP_ROUTED
     "server s1 shop:web.1:v1 stopped -1\nserver s1 shop:web.1:v2\n",
     9, ""},
    {"the last request has ended",
     "pool 2\napp shop\ninstance shop v1 draining\ninstance shop v2 ready\n" SHOP_ROUTED
     "server s1 shop:web.1:v1 stopped 0\nserver s1 shop:web.1:v2\n",
     9, "drained shop v1\ndelete s1 shop:web.1:v1\n"},
    {"the time to drain is over",
     "pool 2\napp shop\ninstance shop v1 draining\ninstance shop v2 ready\n" SHOP_ROUTED
     "server s1 shop:web.1:v1 stopped 3\nserver s1 shop:web.1:v2\n",
     10, "cut s1 shop:web.1:v1\n"},
    {"draining, but HAProxy doesn't know it",
     "pool 2\napp shop\ninstance shop v1 draining\ninstance shop v2 ready\n" SHOP_ROUTED
     "server s1 shop:web.1:v2\n",
     0, "drained shop v1\n"},
    {"drained: its server goes",
     "pool 2\napp shop\ninstance shop v1 drained\ninstance shop v2 ready\n" SHOP_ROUTED
     "server s1 shop:web.1:v1 stopped 0\nserver s1 shop:web.1:v2\n",
     0, "delete s1 shop:web.1:v1\n"},
    {"a crash: H10 at once; what runs on it ends by itself",
     "pool 2\napp shop\ninstance shop v1 crashed\n" SHOP_ROUTED "server s1 shop:web.1:v1\n", 0,
     "set apps shop H10\nstop s1 shop:web.1:v1\n"},
    {"back after a crash, its server still there",
     "pool 2\napp shop\ninstance shop v1 ready\nrow hosts shop.d shop\nrow apps shop H10\n"
     "server s1 shop:web.1:v1 stopped 0\n",
     0, "start s1 shop:web.1:v1 10.0.0.1:5000\nset apps shop s1\n"},
    {"back with a server only a former worker has",
     "pool 2\napp shop\ninstance shop v1 ready\n" SHOP_ROUTED
     "server s1 shop:web.1:v1 stopped 1 former\n",
     0, "add s1 shop:web.1:v1 10.0.0.1:5000\n"},
    {"starting: H20", "pool 2\napp shop\ninstance shop v1 starting\nrow hosts shop.d shop\n", 0,
     "set apps shop H20\n"},
    {"starting again after a crash: H10",
     "pool 2\napp shop\ninstance shop v1 starting 1\nrow hosts shop.d shop\n", 0,
     "set apps shop H10\n"},
    {"scaled to zero",
     "pool 2\napp shop\ninstance shop v1 draining\n" SHOP_ROUTED "server s1 shop:web.1:v1\n", 0,
     "set apps shop H14\nstop s1 shop:web.1:v1\n"},
    {"and up again, in the backend it still has",
     "pool 2\napp shop\napp a\ninstance a v1 ready\ninstance shop v1 draining\ninstance shop v2 "
     "ready\n"
     "row hosts shop.d shop\nrow apps shop H14\nserver s1 shop:web.1:v1 stopped 2\n",
     0,
     "add s2 a:web.1:v1 10.0.0.1:5000\nset apps a s2\nadd s1 shop:web.1:v2 10.0.0.1:5000\n"
     "set apps shop s1\nset hosts a.d a\n"},
    {"maintenance keeps the servers",
     "pool 2\napp shop maintenance\ninstance shop v1 ready\n" SHOP_ROUTED
     "server s1 shop:web.1:v1\n",
     0, "set apps shop H80\n"},
    {"an app is destroyed", "pool 2\n" SHOP_ROUTED "row wild x.com shop\nserver s1 shop:web.1:v1\n",
     0,
     "unset hosts shop.d\nunset wild x.com\nunset apps shop\nstop s1 shop:web.1:v1\n"
     "cut s1 shop:web.1:v1\n"},
    {"further hosts; who has one keeps it",
     "pool 2\napp b\napp a\nhost www.x.com b\nhost www.x.com a\nhost *.x.com b\nhost b.d a\n", 0,
     "set apps a H14\nset apps b H14\nset hosts a.d a\nset hosts b.d b\nset hosts www.x.com a\n"
     "set wild x.com b\n"},
    {"a host of an app that isn't there", "pool 2\nhost www.x.com nobody\n", 0, ""},
    {"the pool is full: it doubles, until there is room for all",
     "pool 1\napp a\napp b\napp c\ninstance a v1 ready\ninstance b v1 ready\ninstance c v1 ready\n"
     "row hosts a.d a\nrow hosts b.d b\nrow hosts c.d c\nrow apps a s1\nserver s1 a:web.1:v1\n",
     0, "grow 4\nset apps b H20\nset apps c H20\n"},
    {"an instance without an address can't serve",
     "pool 2\napp shop\nrow hosts shop.d shop\nrow apps shop H14\nserver s1 stranger stopped 0\n",
     0, "delete s1 stranger\n"},
};

static void every_difference_is_planned_for(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_(scene_release) struct scene s;
        _cleanup_(plan_release) struct plan p = {0};
        _cleanup_(buf_release) struct buf text = BUF_INIT;
        read_scene(&s, cases[i].scene);
        plan_make(&s.want, &s.have, cases[i].now_us, &p);
        show(&p, &text);
        if (!streq(text.ptr ? text.ptr : "", cases[i].plan))
            fail_msg("%s:\n%s\ninstead of:\n%s", cases[i].name, text.ptr ? text.ptr : "",
                     cases[i].plan);
    }
}

/* --- promises ----------------------------------------------------------------------------------
 */

static unsigned next_random(unsigned *seed, unsigned below)
{
    *seed = *seed * 1103515245 + 12345;
    return (*seed >> 16) % below;
}

/* A random world of a few apps, each with some instances in random states. */
static void random_want(struct scene *s, unsigned *seed)
{
    static const char *const states[] = {"starting", "ready",    "ready",   "draining",
                                         "drained",  "stopping", "crashed", "ready"};
    s->want.n_apps = s->want.n_instances = s->want.n_hosts = 0;
    strv_release(&s->texts);
    s->want.domain = "d";
    for (int app = 0; app < 5; app++) {
        char line[100];
        if (next_random(seed, 5)) {
            snprintf(line, sizeof(line), "app a%d%s", app,
                     next_random(seed, 6) ? "" : " maintenance");
            read_line(s, line);
        }
        for (int id = 0; id < 3; id++) {
            if (!next_random(seed, 3))
                continue;
            snprintf(line, sizeof(line), "instance a%d v%d %s", app, id,
                     states[next_random(seed, 8)]);
            read_line(s, line);
        }
    }
    wanted_sort(&s->want);
}

/* What HAProxy would have after the action: a stopped server may or may not be gone at once. */
static void carry_out(struct state *s, const struct action *a, unsigned *seed)
{
    state_apply(s, a);
    struct server *v = a->backend ? state_server(s, a->backend, a->name) : NULL;
    if (a->type == ACTION_STOP && next_random(seed, 2))
        state_delete_server(s, a->backend, a->name);
    else if (a->type == ACTION_STOP)
        v->requests = next_random(seed, 3);
    else if (a->type == ACTION_CUT && v)
        v->requests = 0;
}

static bool is_ready(const struct scene *s, const char *app)
{
    for (size_t i = 0; i < s->want.n_instances; i++) {
        if (streq(s->want.instances[i].app, app) && s->want.instances[i].state == INSTANCE_READY)
            return true;
    }
    return false;
}

/* How many servers take the app's requests; -1 if an error answers them. */
static int serving(const struct state *s, const char *app)
{
    const char *backend = table_get(&s->tables[TABLE_APPS], app);
    if (!backend || !pool_number(backend))
        return -1;
    size_t n, first = state_servers_of(s, backend, &n);
    int up = 0;
    for (size_t i = first; i < first + n; i++)
        up += !s->servers[i].stopped;
    return up;
}

static void check_never_without_server(const struct scene *s)
{
    for (size_t i = 0; i < s->want.n_apps; i++)
        if (is_ready(s, s->want.apps[i].name))
            assert_int_not_equal(serving(&s->have, s->want.apps[i].name), 0);
}

static void check_settled(const struct scene *s)
{
    size_t ready = 0;
    for (size_t i = 0; i < s->want.n_instances; i++) {
        const struct want_instance *v = &s->want.instances[i];
        struct want_app key = {.name = v->app};
        bool wanted = false;
        for (size_t k = 0; k < s->want.n_apps; k++)
            wanted |= streq(s->want.apps[k].name, key.name);
        ready += wanted && v->state == INSTANCE_READY;
    }
    size_t up = 0;
    for (size_t i = 0; i < s->have.n_servers; i++)
        up += !s->have.servers[i].stopped;
    assert_int_equal(up, ready);
    assert_int_equal(s->have.tables[TABLE_APPS].n, s->want.n_apps);
    assert_int_equal(s->have.tables[TABLE_HOSTS].n, s->want.n_apps);
    for (size_t i = 0; i < s->want.n_apps; i++)
        if (is_ready(s, s->want.apps[i].name) && !s->want.apps[i].maintenance)
            assert_true(serving(&s->have, s->want.apps[i].name) > 0);
}

/* Requests end one by one; whoever drains is told of once it has none. */
static void let_requests_end(struct state *s)
{
    for (size_t i = 0; i < s->n_servers; i++)
        if (s->servers[i].stopped && s->servers[i].requests > 0)
            s->servers[i].requests--;
}

static void obey_drained(struct scene *s, const struct action *a)
{
    for (size_t i = 0; i < s->want.n_instances; i++) {
        struct want_instance *v = &s->want.instances[i];
        if (!streq(v->app, a->name) || !streq(v->id, a->value))
            continue;
        assert_int_equal(v->state, INSTANCE_DRAINING);
        v->state = INSTANCE_DRAINED;
    }
}

/* From wherever the last world left HAProxy, any new one is reached, and on the way no app that
 * can serve is ever pointed at a backend without a server. */
static void what_is_promised_holds_for_any_world(void **state)
{
    (void)state;
    unsigned seed = 1;
    _cleanup_(scene_release) struct scene s = {.have = {.pool = 2}};
    for (int world = 0; world < 3000; world++) {
        random_want(&s, &seed);
        size_t n = 1;
        for (int round = 0; n; round++) {
            assert_true(round < 12);
            _cleanup_(plan_release) struct plan p = {0};
            plan_make(&s.want, &s.have, 0, &p);
            n = p.n;
            for (size_t i = 0; i < p.n; i++) {
                if (p.actions[i].type == ACTION_DRAINED)
                    obey_drained(&s, &p.actions[i]);
                carry_out(&s.have, &p.actions[i], &seed);
                if (p.actions[i].type == ACTION_GROW)
                    break;
                if (i + 1 < p.n ? p.actions[i + 1].type >= ACTION_STOP : true)
                    check_never_without_server(&s);
            }
            let_requests_end(&s.have);
            for (size_t i = 0; !n && i < s.have.n_servers; i++)
                n += s.have.servers[i].stopped; /* go on until all that stopped is gone */
        }
        check_settled(&s);
    }
    assert_true(s.have.pool <= 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_difference_is_planned_for),
        cmocka_unit_test(what_is_promised_holds_for_any_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
