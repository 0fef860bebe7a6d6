/* What engine and shim write for each other. */
#include "cm.h"

#include "pact/spec.h"
#include "pact/status.h"

/* ---- spec ---- */

#define REQUIRED                                                                                   \
    "name shop.web.v1.1\napp shop\nprocess web.1\nupper /u\nwork /w\nrootfs /r\ncgroup davit/x\n"  \
    "log /l\nlayer /base\n"

static void spec_is_read(void **state)
{
    (void)state;
    struct err err;
    _cleanup_(pact_spec_release) struct spec s = {0};
    assert_ok(
        pact_spec_parse(STR(REQUIRED "layer /with blank\nbridge b0\nip 10.1.2.3/16\nhostif h0\n"
                                     "gateway 10.1.0.1\ngrace 5\nsignal 2\nrestart no\n\n"
                                     "log_max 200000\nlog_files 7"),
                        &s, &err),
        err);
    assert_string_equal(s.process, "web.1");
    assert_int_equal(s.layers.n, 2);
    assert_string_equal(s.layers.items[1], "/with blank");
    assert_string_equal(s.gateway, "10.1.0.1");
    assert_int_equal(s.grace, 5);
    assert_int_equal(s.signal, 2);
    assert_int_equal(s.log_max, 200000);
    assert_int_equal(s.log_files, 7);
    assert_int_equal(s.restart, RESTART_NO);
}

static void spec_has_defaults(void **state)
{
    (void)state;
    struct err err;
    _cleanup_(pact_spec_release) struct spec s = {0};
    assert_ok(pact_spec_parse(STR(REQUIRED), &s, &err), err);
    assert_int_equal(s.restart, RESTART_ALWAYS);
    assert_int_equal(s.grace, 30);
    assert_int_equal(s.signal, 15);
    assert_null(s.bridge);
}

static void spec_names_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "spec: \"name\" is missing"},
        {"name x\nname\n", "spec, line 2: \"name\" needs a value"},
        {"name x\n\nbogus 1\n", "spec, line 3: unknown name \"bogus\""},
        {" leading\n", "is missing"},
        {REQUIRED "grace 1s\n", "spec, line 10: grace"},
        {REQUIRED "grace 86401\n", "spec, line 10: grace"},
        {REQUIRED "signal 0\n", "spec, line 10: signal"},
        {REQUIRED "signal 65\n", "spec, line 10: signal"},
        {REQUIRED "log_files 0\n", "spec, line 10: log_files"},
        {REQUIRED "log_max 1000\n", "spec, line 10: log_max"},
        {REQUIRED "restart maybe\n", "spec, line 10: restart can't be"},
        {REQUIRED "bridge b0\n", "a bridge needs"},
        {"name x\napp x\nprocess x\nupper x\nwork x\nrootfs x\ncgroup x\nlog x\n",
         "\"layer\" is missing"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err;
        struct spec s = {0};
        assert_err(pact_spec_parse(str_of(cases[i].text), &s, &err), ERR_INVALID);
        assert_contains(err.msg, cases[i].says);
        assert_null(s.name);
    }
}

static void spec_refuses_nul(void **state)
{
    (void)state;
    struct err err;
    struct spec s = {0};
    assert_err(pact_spec_parse(STR(REQUIRED "bridge a\0b\n"), &s, &err), ERR_INVALID);
}

/* As an engine fills it, every line. */
static void full_spec(struct spec *s)
{
    *s = (struct spec){.name = xstrdup("shop.web.v7.g0.2"),
                       .app = xstrdup("shop"),
                       .process = xstrdup("web.2"),
                       .upper = xstrdup("/disk/upper"),
                       .work = xstrdup("/disk/work"),
                       .rootfs = xstrdup("/run/rootfs"),
                       .sysfs = xstrdup("/run/sysfs"),
                       .userns = xstrdup("/run/userns"),
                       .uid_base = 1879048192,
                       .uid_owner = 1879114501,
                       .bridge = xstrdup("davit0"),
                       .ip = xstrdup("10.210.3.5/16"),
                       .gateway = xstrdup("10.210.0.1"),
                       .hostif = xstrdup("dv0-0305"),
                       .cgroup = xstrdup("davit0/shop"),
                       .memory = 512 << 20,
                       .pids = 1024,
                       .cpu_weight = 100,
                       .log = xstrdup("/log/shop/web.2.log"),
                       .log_max = 10 << 20,
                       .log_files = 5,
                       .grace = 30,
                       .signal = 3,
                       .restart = RESTART_NO};
    strv_add(&s->layers, "/base");
    strv_add(&s->layers, "/with blank");
}

/* Shims outlive an upgrade: this text is what they have been given from the beginning. */
static const char full_text[] =
    "name shop.web.v7.g0.2\napp shop\nprocess web.2\nlayer /base\nlayer /with blank\n"
    "upper /disk/upper\nwork /disk/work\nrootfs /run/rootfs\nsysfs /run/sysfs\n"
    "userns /run/userns\nuid_base 1879048192\nuid_owner 1879114501\nbridge davit0\n"
    "ip 10.210.3.5/16\ngateway 10.210.0.1\nhostif dv0-0305\ncgroup davit0/shop\n"
    "memory 536870912\npids 1024\ncpu_weight 100\nlog /log/shop/web.2.log\nlog_max 10485760\n"
    "log_files 5\ngrace 30\nsignal 3\nrestart no\n";

static void spec_is_written_as_it_always_was(void **state)
{
    (void)state;
    struct err err;
    _cleanup_(pact_spec_release) struct spec s;
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    full_spec(&s);
    assert_ok(pact_spec_format(&s, &text, &err), err);
    assert_string_equal(text.ptr, full_text);
}

static void spec_comes_back_as_it_was_written(void **state)
{
    (void)state;
    struct err err;
    _cleanup_(pact_spec_release) struct spec s = {0};
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    assert_ok(pact_spec_parse(STR(full_text), &s, &err), err);
    assert_ok(pact_spec_format(&s, &text, &err), err);
    assert_string_equal(text.ptr, full_text);
}

static void spec_that_would_be_refused_is_not_written(void **state)
{
    (void)state;
    struct err err;
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    for (int i = 0; i < 5; i++) {
        _cleanup_(pact_spec_release) struct spec s;
        full_spec(&s);
        char *upper = s.upper, *hostif = s.hostif;
        if (i == 0)
            s.upper = NULL;
        else if (i == 1)
            s.log[1] = '\n';
        else if (i == 2)
            s.signal = 65;
        else if (i == 3)
            s.hostif = NULL;
        else
            s.layers.items[1][0] = '\n';
        assert_err(pact_spec_format(&s, &text, &err), ERR_INVALID);
        assert_int_equal(text.len, 0);
        s.upper = upper, s.hostif = hostif;
    }
}

static void spec_of_another_version_is_recalled(void **state)
{
    (void)state;
    _cleanup_(pact_spec_release) struct spec s;
    pact_spec_recall(STR("name x\nfuture 1\nip 10.0.0.1/16\nsignal 900\nlog\n"), &s);
    assert_string_equal(s.name, "x");
    assert_string_equal(s.ip, "10.0.0.1/16");
    assert_int_equal(s.signal, 15);
    assert_null(s.log);
}

/* ---- status ---- */

static void status_leaves_out_what_is_not(void **state)
{
    (void)state;
    struct status s;
    _cleanup_(buf_release) struct buf b = BUF_INIT;
    pact_status_init(&s);
    s.state = SHIM_STARTING;
    s.since = 7;
    pact_status_format(&s, &b);
    assert_string_equal(b.ptr, "state starting\nsince 7\nrestarts 0\n");
}

static void status_comes_back_as_it_was_written(void **state)
{
    (void)state;
    static const char text[] = "state crashed\nsince 7\nrestarts 2\npid 3\nstarted 5\nexit 0\n"
                               "reason why not\nnext 9\n";
    _cleanup_(pact_status_release) struct status s;
    _cleanup_(buf_release) struct buf b = BUF_INIT;
    pact_status_parse(STR(text), &s);
    assert_int_equal(s.state, SHIM_CRASHED);
    assert_int_equal(s.since, 7);
    assert_int_equal(s.restarts, 2);
    assert_int_equal(s.pid, 3);
    assert_int_equal(s.started, 5);
    assert_int_equal(s.exit, 0);
    assert_string_equal(s.reason, "why not");
    assert_int_equal(s.next, 9);
    pact_status_format(&s, &b);
    assert_string_equal(b.ptr, text);
}

static void any_status_is_taken(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "state\n", "state asleep\nexit 256\npid -1\nreason\n",
                                        "something new\n\nrestarts x"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        _cleanup_(pact_status_release) struct status s;
        pact_status_parse(str_of(texts[i]), &s);
        assert_int_equal(s.state, SHIM_NONE);
        assert_int_equal(s.exit, -1);
        assert_int_equal(s.pid, 0);
        assert_int_equal(s.restarts, 0);
        assert_null(s.reason);
    }
}

static void every_state_has_its_name(void **state)
{
    (void)state;
    for (int i = SHIM_STARTING; i <= SHIM_STOPPED; i++) {
        _cleanup_free_ char *text = xasprintf("state %s\n", shim_state_name((enum shim_state)i));
        _cleanup_(pact_status_release) struct status s;
        pact_status_parse(str_of(text), &s);
        assert_int_equal(s.state, i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spec_is_read),
        cmocka_unit_test(spec_has_defaults),
        cmocka_unit_test(spec_names_what_is_wrong),
        cmocka_unit_test(spec_refuses_nul),
        cmocka_unit_test(spec_is_written_as_it_always_was),
        cmocka_unit_test(spec_comes_back_as_it_was_written),
        cmocka_unit_test(spec_that_would_be_refused_is_not_written),
        cmocka_unit_test(spec_of_another_version_is_recalled),
        cmocka_unit_test(status_leaves_out_what_is_not),
        cmocka_unit_test(status_comes_back_as_it_was_written),
        cmocka_unit_test(any_status_is_taken),
        cmocka_unit_test(every_state_has_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
