#include "cm.h"

#include "model/config.h"
#include "model/current.h"
#include "model/names.h"
#include "model/nouns.h"
#include "model/openapi.h"
#include "model/procfile.h"
#include "model/writers.h"

static const char release_text[] =
    "{\"number\":3,\"by\":\"ann\",\"image\":\"sha256:ab\",\"config\":2,\"processes\":["
    "{\"type\":\"web\",\"command\":\"node server.js\",\"port\":5000,\"quantity\":1,\"checks\":["
    "{\"type\":\"startup\",\"path\":\"/up\",\"attempts\":3,\"headers\":{\"A\":\"b\"}}]},"
    "{\"type\":\"worker\",\"argv\":[\"a\",\"b c\"]}]}";

static void documents_go_both_ways(void **state)
{
    (void)state;
    struct err err;
    struct release r = {0}, copy;
    assert_ok(model_decode(&release_schema, str_of(release_text), &r, &err), err);
    assert_int_equal(r.processes.n, 2);
    const struct process *web = release_process(&r, "web");
    assert_string_equal(web->command, "node server.js");
    assert_string_equal(list_at(&web->checks, struct check, 0)->path, "/up");
    assert_null(release_process(&r, "cron"));
    _cleanup_(buf_release) struct buf out = BUF_INIT;
    model_encode(&release_schema, &r, &out);
    assert_string_equal(out.ptr, release_text);
    model_copy(&release_schema, &r, &copy);
    assert_true(model_equal(&release_schema, &r, &copy));
    copy.number = 4;
    assert_false(model_equal(&release_schema, &r, &copy));
    release_release(&copy);
    release_release(&r);
}

static void bad_documents_name_the_field(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"[]", "release: a JSON object is needed"},
        {"{", "release: not JSON: line 1, column 1: "},
        {"{}", "release: field 'number': is missing"},
        {"{\"number\":\"3\"}", "release: field 'number': a whole number is needed"},
        {"{\"number\":1,\"image\":2}", "release: field 'image': a text is needed"},
        {"{\"number\":1,\"image\":\"\",\"processes\":[{\"type\":\"web\"},{\"type\":\"w\",\"port\":"
         "1.5}]}",
         "release: field 'processes[1].port': a whole number is needed"},
        {"{\"number\":1,\"image\":\"\",\"processes\":[{\"type\":\"web\",\"checks\":[{\"type\":"
         "\"x\"}]}]}",
         "release: field 'processes[0].checks[0].type': needs one of startup liveness readiness"},
        {"{\"number\":1,\"number\":2}", "duplicate"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err;
        struct release r = {0};
        assert_err(model_decode(&release_schema, str_of(cases[i].text), &r, &err), ERR_INVALID);
        assert_contains(err.msg, cases[i].message);
    }
}

static void deep_documents_are_refused(void **state)
{
    (void)state;
    struct err err;
    struct app a = {0};
    _cleanup_(buf_release) struct buf deep = BUF_INIT;
    for (int i = 0; i < 100000; i++)
        buf_addc(&deep, '[');
    assert_err(model_decode(&app_schema, buf_str(&deep), &a, &err), ERR_INVALID);
    assert_contains(err.msg, "nested deeper");
    struct str brackets_in_text =
        STR("{\"name\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[\"}");
    assert_ok(model_decode(&app_schema, brackets_in_text, &a, &err), err);
    app_release(&a);
    for (int levels = 30; levels < 34; levels++) {
        _cleanup_(buf_release) struct buf nested = BUF_INIT;
        buf_adds(&nested, "{\"name\":\"x\",\"more\":");
        for (int i = 1; i < levels; i++)
            buf_addc(&nested, '[');
        for (int i = 1; i < levels; i++)
            buf_addc(&nested, ']');
        buf_addc(&nested, '}');
        assert_int_equal(model_decode(&app_schema, buf_str(&nested), &a, &err),
                         levels <= 32 ? 0 : -ERR_INVALID);
        app_release(&a);
        a = (struct app){0};
    }
    _cleanup_(buf_release) struct buf wide = BUF_INIT;
    buf_adds(&wide, "{\"name\":\"x\",\"more\":[[]");
    for (int i = 0; i < 1000; i++)
        buf_adds(&wide, ",{},[]");
    buf_adds(&wide, "]}");
    assert_ok(model_decode(&app_schema, buf_str(&wide), &a, &err), err);
    app_release(&a);
}

static void maps_and_counts_go_both_ways(void **state)
{
    (void)state;
    struct err err;
    struct desired d = {0};
    const char *text = "{\"release\":3,\"generation\":0,\"formation\":{\"web\":2,\"worker\":1}}";
    _cleanup_(buf_release) struct buf out = BUF_INIT;
    assert_ok(model_decode(&desired_schema, str_of(text), &d, &err), err);
    assert_int_equal(counts_get(&d.formation, "worker", 0), 1);
    model_encode(&desired_schema, &d, &out);
    assert_contains(out.ptr, "\"formation\":{\"web\":2,\"worker\":1}");
    desired_release(&d);
    static const char *const wrong[] = {"\"x\"", "1.5", "{}", "null"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        _cleanup_free_ char *bad =
            xasprintf("{\"release\":3,\"generation\":0,\"formation\":{\"web\":%s}}", wrong[i]);
        assert_err(model_decode(&desired_schema, str_of(bad), &d, &err), ERR_INVALID);
        assert_contains(err.msg, "whole numbers");
    }
}

static void names_are_checked(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "shop", "my-shop-2", "abcdefghijklmnopqrstuvwxyz0123"};
    static const char *const bad[] = {
        "",         "Shop", "api", "-a",  "a-",
        "a.b",      "a/b",  "1a",  "a b", "abcdefghijklmnopqrstuvwxyz01234",
        "\xc3\xa4", "www",  ".."};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_int_equal(app_name_check(good[i], NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_err(app_name_check(bad[i], NULL), ERR_INVALID);
    assert_int_equal(config_name_check("_A1", NULL), 0);
    assert_err(config_name_check("1A", NULL), ERR_INVALID);
    assert_err(config_name_check("", NULL), ERR_INVALID);
    assert_err(config_name_check("PORT", NULL), ERR_INVALID);
    assert_int_equal(host_check("shop.example.com", NULL), 0);
    assert_int_equal(host_check("*.example.com", NULL), 0);
    assert_err(host_check("localhost", NULL), ERR_INVALID);
    assert_err(host_check("Shop.example.com", NULL), ERR_INVALID);
    assert_err(host_check("a..b", NULL), ERR_INVALID);
    for (int n = 62; n < 66; n++) {
        char label[80];
        snprintf(label, sizeof(label), "%.*s.example.com", n,
                 "1234567890123456789012345678901234567890123456789012345678901234567890");
        assert_int_equal(host_check(label, NULL), n <= 63 ? 0 : -ERR_INVALID);
    }
    assert_err(host_check("a.*.b", NULL), ERR_INVALID);
    assert_err(host_check("a.b\n", NULL), ERR_INVALID);
}

static void keys_match_their_form(void **state)
{
    (void)state;
    struct str parts[3];
    assert_true(key_is(&release_schema, "/apps/shop/releases/0000000003", parts));
    assert_true(str_eq(parts[0], STR("shop")));
    assert_true(str_eq(parts[1], STR("0000000003")));
    assert_false(key_is(&release_schema, "/apps/shop/releases/0000000003/status", parts));
    assert_false(key_is(&release_schema, "/apps/shop", parts));
    assert_false(key_is(&app_schema, "/apps/", parts));
    _cleanup_free_ char *key = key_release("shop", 3), *all = key_prefix(&release_schema, NULL),
                        *of_shop = key_prefix(&release_schema, "shop"), *audit = key_audit(),
                        *audit_prefix = key_prefix(&audit_schema, NULL);
    assert_string_equal(key, "/apps/shop/releases/0000000003");
    assert_string_equal(all, "/apps/");
    assert_string_equal(of_shop, "/apps/shop/releases/");
    assert_string_equal(audit, "/audit");
    assert_string_equal(audit_prefix, "/audit");
    _cleanup_(buf_release) struct buf look = BUF_INIT;
    key_describe(&release_status_schema, &look);
    buf_addc(&look, ' ');
    key_describe(&instance_schema, &look);
    buf_addc(&look, ' ');
    key_describe(&audit_schema, &look);
    assert_string_equal(look.ptr, "/apps/APP/releases/NUMBER/status /instances/APP/TYPE/ID /audit");
}

static void who_writes_is_in_the_tables(void **state)
{
    (void)state;
    static const char desired[] = "{\"release\":1,\"generation\":0}",
                      released[] = "{\"release\":2,\"generation\":0}",
                      restarted[] = "{\"release\":2,\"generation\":1}",
                      ready[] = "{\"app\":\"a\",\"type\":\"web\",\"id\":\"x\",\"index\":1,"
                                "\"release\":1,\"state\":\"ready\"}",
                      draining[] = "{\"app\":\"a\",\"type\":\"web\",\"id\":\"x\",\"index\":1,"
                                   "\"release\":1,\"state\":\"draining\"}",
                      drained[] = "{\"app\":\"a\",\"type\":\"web\",\"id\":\"x\",\"index\":1,"
                                  "\"release\":1,\"state\":\"drained\",\"since\":\"now\"}",
                      moved[] = "{\"app\":\"a\",\"type\":\"web\",\"id\":\"x\",\"index\":1,"
                                "\"release\":1,\"state\":\"drained\",\"ip\":\"10.0.0.1\"}";
    static const struct {
        const char *who, *key, *before, *after;
        const char *message; /* NULL: allowed */
    } cases[] = {
        {"api", "/apps/a/desired", NULL, desired, NULL},
        {"api", "/apps/a/desired", released, restarted, NULL},
        {"builder", "/apps/a/desired", desired, released, NULL},
        {"builder", "/apps/a/desired", desired, restarted,
         "builder writes more than its fields of /apps/a/desired, which is for `api`, `builder` "
         "(release)"},
        {"builder", "/apps/a/desired", NULL, desired, "builder writes /apps/a/desired"},
        {"builder", "/apps/a/desired", desired, NULL, "builder deletes /apps/a/desired"},
        {"gateway", "/apps/a/desired", desired, released, "gateway writes /apps/a/desired"},
        {"api", "/apps/a/desired", desired, "{}", "'release': is missing"},
        {"api", "/apps/a/other", NULL, "{}", "api writes /apps/a/other, which is of no noun"},
        /* What lies below an app goes with it; instances don't lie below it. */
        {"api", "/apps/a/releases/0000000001/status", "{\"state\":\"live\"}", NULL, NULL},
        {"gateway", "/apps/a/releases/0000000001/status", "{\"state\":\"live\"}", NULL,
         "gateway deletes /apps/a/releases/0000000001/status"},
        {"api", "/instances/a/web/x", ready, NULL, "api deletes /instances/a/web/x"},
        {"builder", "/builds/1", "{\"id\":\"1\",\"app\":\"a\"}", NULL, NULL},
        {"builder", "/builds/1", NULL, "{\"id\":\"1\",\"app\":\"a\"}", "builder writes /builds/1"},
        {"run", "/remains/a/run", "{\"app\":\"a\"}", NULL, NULL},
        {"run", "/remains/a/gateway", "{\"app\":\"a\"}", NULL, "run deletes /remains/a/gateway"},
        {"run", "/instances/a/web/x", ready, draining, NULL},
        {"run", "/instances/a/web/x", ready, drained,
         "run takes /instances/a/web/x from ready to drained, which no row of its table allows"},
        {"run", "/instances/a/web/x", draining, drained, "which no row"},
        {"gateway", "/instances/a/web/x", draining, drained, NULL},
        {"gateway", "/instances/a/web/x", draining, ready, "which no row"},
        {"gateway", "/instances/a/web/x", draining, moved, "gateway writes more than its fields"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err;
        int r = write_check(cases[i].who, cases[i].key, str_of(cases[i].before),
                            str_of(cases[i].after), &err);
        if (!cases[i].message)
            assert_ok(r, err);
        else if (r == 0)
            fail_msg("%s was allowed to write %s", cases[i].who, cases[i].key);
        else
            assert_contains(err.msg, cases[i].message);
    }
}

static void a_transition_has_one_owner(void **state)
{
    (void)state;
    for (size_t i = 0; nouns[i]; i++)
        for (const struct transition *t = nouns[i]->transitions; t->who; t++)
            for (const struct transition *u = t + 1; u->who; u++)
                assert_false(t->from == u->from && t->to == u->to);
}

static void the_map_says_who_writes_what(void **state)
{
    (void)state;
    static char map[1 << 20];
    FILE *f = fopen(SOURCE_ROOT "/ARCHITECTURE.md", "re");
    assert_non_null(f);
    map[fread(map, 1, sizeof(map) - 1, f)] = '\0';
    fclose(f);
    _cleanup_(buf_release) struct buf table = BUF_INIT;
    writers_describe(&table);
    struct str rest = buf_str(&table);
    while (rest.len) {
        struct str row = str_cut(&rest, '\n');
        if (!memmem(map, strlen(map), row.ptr, row.len))
            fail_msg("ARCHITECTURE.md lacks the row\n%.*s", (int)row.len, row.ptr);
    }
    if (!strstr(map, table.ptr))
        fail_msg("ARCHITECTURE.md has rows of no noun, or in another order");
}

static void nouns_are_documented(void **state)
{
    (void)state;
    for (size_t i = 0; nouns[i]; i++)
        for (const struct field *f = nouns[i]->fields; f->name; f++)
            assert_true(nouns[i]->doc && *nouns[i]->doc && f->doc && *f->doc);
    _cleanup_(buf_release) struct buf b = BUF_INIT;
    model_openapi(&user_schema, &b);
    assert_string_equal(
        b.ptr, "{\"type\":\"object\",\"description\":\"Who may use this Davit\","
               "\"required\":[\"name\",\"role\"],\"properties\":{"
               "\"name\":{\"type\":\"string\",\"description\":\"the name\"},"
               "\"created\":{\"type\":\"string\",\"description\":\"when it was added\"},"
               "\"role\":{\"type\":\"string\",\"enum\":[\"viewer\",\"developer\",\"admin\"],"
               "\"description\":\"what the user may do. viewer: may look; developer: may deploy "
               "and change "
               "apps; admin: may do everything\"}}}");
    buf_reset(&b);
    model_openapi(&process_schema, &b);
    assert_contains(b.ptr, "\"checks\":{\"type\":\"array\",\"items\":{\"$ref\":"
                           "\"#/components/schemas/check\"}");
}

static void a_procfile_names_processes(void **state)
{
    (void)state;
    struct err err;
    struct list l = {0};
    assert_ok(procfile_parse(
                  STR("\xef\xbb\xbf# all\r\n\r\nweb: node a.js : b  \r\nmy-worker_2:  run # x\n"),
                  &l, &err),
              err);
    assert_int_equal(l.n, 2);
    assert_string_equal(list_at(&l, struct process, 0)->command, "node a.js : b");
    assert_int_equal(list_at(&l, struct process, 0)->quantity, 1);
    assert_string_equal(list_at(&l, struct process, 1)->type, "my-worker_2");
    assert_int_equal(list_at(&l, struct process, 1)->quantity, 0);
    for (size_t i = 0; i < l.n; i++)
        process_release(list_at(&l, struct process, i));
    free(l.items);

    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "Procfile, line 1, column 1: it names no process"},
        {"web node", "Procfile, line 1, column 1: there is no ':'"},
        {"web: a\n\n  web: b", "Procfile, line 3, column 3: this process type is there already"},
        {"web:   ", "Procfile, line 1, column 5: there is no command"},
        {"we b: x", "a process type is 1 to 63"},
        {": x", "a process type is 1 to 63"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct list bad = {0};
        assert_err(procfile_parse(str_of(cases[i].text), &bad, &err), ERR_INVALID);
        assert_contains(err.msg, cases[i].message);
        assert_contains(err.hint, "web: node server.js");
        for (size_t k = 0; k < bad.n; k++)
            process_release(list_at(&bad, struct process, k));
        free(bad.items);
    }
}

static void an_app_json_is_read_and_its_errors_named(void **state)
{
    (void)state;
    struct err err;
    struct app_json a;
    assert_ok(
        app_json_parse(
            STR("{\"name\":\"x\",\"env\":{\"A\":\"1\",\"B\":{\"generator\":\"secret\"},"
                "\"C\":{\"description\":\"d\"},\"D\":{\"required\":false}},"
                "\"formation\":{\"web\":{\"quantity\":2},\"worker\":{\"quantity\":0}},"
                "\"buildpacks\":[{\"url\":\"u#v1\"}],"
                "\"scripts\":{\"dokku\":{\"predeploy\":\"p\"},\"postdeploy\":\"q\"},"
                "\"healthchecks\":{\"web\":[{\"type\":\"startup\",\"path\":\"/up\",\"wait\":1}]}}"),
            &a, &err),
        err);
    assert_int_equal(a.env.n, 4);
    assert_string_equal(list_at(&a.env, struct env_wish, 0)->value, "1");
    assert_false(list_at(&a.env, struct env_wish, 0)->required);
    assert_true(list_at(&a.env, struct env_wish, 1)->generate_secret);
    assert_true(list_at(&a.env, struct env_wish, 2)->required);
    assert_false(list_at(&a.env, struct env_wish, 3)->required);
    assert_int_equal(counts_get(&a.formation, "web", 0), 2);
    assert_string_equal(a.predeploy, "p");
    assert_string_equal(a.postdeploy, "q");
    assert_string_equal(list_at(&a.checks[0].checks, struct check, 0)->path, "/up");
    assert_int_equal(a.warnings.n, 0);
    app_json_release(&a);

    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{\n  \"env\": {,}\n}", "app.json, line 2, column 1"},
        {"[]", "app.json, line 1, column 1: an object is needed"},
        {"{\"env\":{\"1A\":\"x\"}}", "field 'env'"},
        {"{\"env\":{\"A\":5}}", "field 'env.A': a text or an object"},
        {"{\"env\":{\"A\":{\"generator\":\"x\"}}}", "the only generator there is"},
        {"{\"formation\":{\"web\":{\"quantity\":-1}}}", "field 'formation.web.quantity'"},
        {"{\"formation\":[]}", "field 'formation': an object is needed"},
        {"{\"healthchecks\":[]}", "field 'healthchecks': an object is needed"},
        {"{\"healthchecks\":{\"web\":{}}}", "field 'healthchecks.web': a list of checks is needed"},
        {"{\"scripts\":{\"dokku\":{\"predeploy\":1}}}", "'scripts.dokku.predeploy'"},
        {"{\"scripts\":{\"dokku\":{\"predeploy\":\"p\",\"postdeploy\":1}}}",
         "'scripts.dokku.postdeploy'"},
        {"{\"formation\":{\"We b\":{\"quantity\":1}}}", "field 'formation'"},
        {"{\"env\":{\"A\":{\"required\":1}}}", "'required' must be true or false"},
        {"{\"env\":{\"A\":{\"generator\":5}}}", "field 'env.A.generator': a text is needed"},
        {"{\"healthchecks\":{\"web\":[{\"type\":\"startup\"}]}}",
         "field 'healthchecks.web[0]': exactly one of"},
        {"{\"healthchecks\":{\"web\":[{\"type\":\"x\"}]}}", "'type' must be"},
        {"{\"healthchecks\":{\"web\":[{\"type\":\"startup\",\"path\":\"up\"}]}}",
         "must start with '/'"},
        {"{\"scripts\":{\"postdeploy\":[]}}", "field 'scripts.postdeploy': a text is needed"},
        {"{\"buildpacks\":[{}]}", "field 'buildpacks'"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_err(app_json_parse(str_of(cases[i].text), &a, &err), ERR_INVALID);
        assert_contains(err.msg, cases[i].message);
    }
}

static void app_json_has_comments(void **state)
{
    (void)state;
    struct err err;
    struct app_json a;
    assert_ok(app_json_parse(
                  STR("// first\n{ /* in , } */ \"env\": {\"A\": \"http://x/*y*/\", // behind\n"
                      "\"B\": \"\\\"//\",}, \"buildpacks\": [\"u\", /**/ ],\n}\n//"),
                  &a, &err),
              err);
    assert_string_equal(list_at(&a.env, struct env_wish, 0)->value, "http://x/*y*/");
    assert_string_equal(list_at(&a.env, struct env_wish, 1)->value, "\"//");
    assert_int_equal(a.buildpacks.n, 1);
    app_json_release(&a);
    assert_ok(app_json_parse(STR(" // nothing\n"), &a, &err), err);
    app_json_release(&a);

    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{\n/* a\n b */ oops}", "app.json, line 3, column 10"},
        {"{} /* no end", "line 1"},
        {"{\"env\": {,}}", "line 1"},
        {"{\"buildpacks\": [\"u\",,]}", "line 1"},
        {"{\"a\": ,}", "line 1"},
        {"{} / {}", "line 1"},
        {"[1,]", "an object is needed"},
        {"\"", "line 1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_err(app_json_parse(str_of(cases[i].text), &a, &err), ERR_INVALID);
        assert_contains(err.msg, cases[i].message);
    }
}

static void app_json_fields_that_change_nothing_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *text, *warning;
    } cases[] = {
        {"{\"healthcheck\":{}}", "no 'healthcheck', it is ignored. Did you mean 'healthchecks'?"},
        {"{\"formations\":{}}", "no 'formations', it is ignored. Did you mean 'formation'?"},
        {"{\"addons\":[]}", "'addons' changes nothing here: Davit makes no add-ons"},
        {"{\"cron\":[]}", "'cron' changes nothing here"},
        {"{\"formation\":{\"web\":{\"quantty\":2}}}",
         "no 'formation.web.quantty', it is ignored. Did you mean 'quantity'?"},
        {"{\"formation\":{\"web\":{\"size\":\"eco\"}}}", "'formation.web.size' changes nothing"},
        {"{\"env\":{\"A\":{\"value\":\"x\",\"requird\":true}}}", "Did you mean 'required'?"},
        {"{\"healthchecks\":{\"web\":[{\"type\":\"startup\",\"path\":\"/\",\"atempts\":2}]}}",
         "no 'healthchecks.web[0].atempts', it is ignored. Did you mean 'attempts'?"},
        {"{\"scripts\":{\"postdeplo\":\"x\"}}", "Did you mean 'postdeploy'?"},
        {"{\"scripts\":{\"dokku\":{\"predeplo\":\"x\"}}}", "Did you mean 'predeploy'?"},
        {"{\"buildpacks\":[{\"url\":\"u\",\"uri\":\"v\"}]}", "no 'buildpacks[0].uri'"},
        {"{\"xyzzy\":1}", "app.json: there is no 'xyzzy', it is ignored"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err;
        struct app_json a;
        assert_ok(app_json_parse(str_of(cases[i].text), &a, &err), err);
        assert_int_equal(a.warnings.n, 1);
        assert_contains(a.warnings.items[0], cases[i].warning);
        app_json_release(&a);
    }
}

static void settings_have_defaults_and_bounds(void **state)
{
    (void)state;
    struct err err;
    struct config c;
    assert_ok(config_parse("", STR("# mine\nhttp_port = 80 # low\ndomain=example.com\n"), &c, &err),
              err);
    assert_int_equal(c.http_port, 80);
    assert_string_equal(c.domain, "example.com");
    assert_string_equal(c.state, "/var/lib/davit");
    assert_string_equal(c.store_url, "sqlite:///var/lib/davit/store/state.db");
    assert_string_equal(c.bridge, "davit0");
    config_release(&c);
    assert_ok(config_parse("/tmp/x", STR(""), &c, &err), err);
    assert_string_equal(c.run, "/tmp/x/run/davit");
    assert_true(strlen(c.bridge) < 16);
    config_release(&c);
    assert_err(config_parse("", STR("\nhttp_port = x"), &c, &err), ERR_INVALID);
    assert_contains(err.msg, "davit.conf, line 2: http_port: 'x' is not a whole number");
    assert_err(config_parse("", STR("colour = blue"), &c, &err), ERR_INVALID);
    assert_contains(err.msg, "there is no setting 'colour'");
    assert_err(config_parse("", STR("nonsense"), &c, &err), ERR_INVALID);
}

/* Releases as "STATE:CONFIG", the first is v1. */
static size_t parse_past(const char *text, struct release *releases, struct release_seen *ret)
{
    struct str rest = str_of(text);
    size_t n = 0;
    while (rest.ptr && rest.len) {
        struct str config = str_cut(&rest, ' '), state = str_cut(&config, ':');
        releases[n] = (struct release){.number = (int64_t)n + 1, .config = config.ptr[0] - '0'};
        ret[n] = (struct release_seen){.release = &releases[n]};
        while (!str_eq(state, str_of(release_state_names[ret[n].state])))
            ret[n].state++;
        n++;
    }
    return n;
}

static void what_is_current(void **state)
{
    (void)state;
    static const struct {
        const char *what, *past;
        int64_t newest, next; /* revisions: the newest, and what waits for the next release */
        int64_t wanted, config;
    } cases[] = {
        {"nothing was set or deployed", "", 0, 0, 0, 0},
        {"set before the first deploy", "", 2, 0, 0, 2},
        {"set before the first deploy, to be waited with", "", 2, 2, 0, 2},
        {"the first deploy starts", "starting:1", 1, 0, 1, 1},
        {"the first deploy failed: what was set stays", "failed:1", 1, 0, 0, 1},
        {"and what was set since", "failed:1", 2, 0, 0, 2},
        {"so does what a second attempt failed with", "failed:1 failed:2", 2, 0, 0, 2},
        {"a change starts", "live:1 starting:2", 2, 0, 2, 2},
        {"a change is not looked at yet", "live:1 pending:2", 2, 0, 2, 2},
        {"its release phase runs", "live:1 preparing:2", 2, 0, 2, 2},
        {"a change failed", "live:1 failed:2", 2, 0, 1, 1},
        {"the one after it starts from what runs", "live:1 failed:2 starting:3", 3, 0, 3, 3},
        {"one on top of another that started", "live:1 superseded:2 starting:3", 3, 0, 3, 3},
        {"and failed with it", "live:1 superseded:2 failed:3", 3, 0, 1, 1},
        {"a deploy failed", "live:1 failed:1", 1, 0, 1, 1},
        {"with what app.json asked for", "live:1 failed:2", 2, 0, 1, 1},
        {"rolled back", "superseded:1 superseded:2 live:1", 2, 0, 3, 1},
        {"rolled back to no variables", "superseded:0 superseded:2 live:0", 2, 0, 3, 0},
        {"a rollback failed", "superseded:1 live:2 failed:1", 2, 0, 2, 2},
        {"set for the next release", "live:1", 2, 2, 1, 2},
        {"which failed: it waits for another", "live:1 failed:2", 2, 2, 1, 2},
        {"which is live", "superseded:1 live:2", 2, 2, 2, 2},
        {"and was changed since", "superseded:1 superseded:2 live:3", 3, 2, 3, 3},
        {"a change on top of it failed", "live:1 failed:3", 3, 2, 1, 2},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct release releases[8];
        struct release_seen past[8];
        size_t n = parse_past(cases[i].past, releases, past);
        struct desired d = {.release = (int64_t)n, .config = cases[i].next};
        if (release_wanted(past, n, &d) + 1 != cases[i].wanted)
            fail_msg("%s: another release is wanted", cases[i].what);
        int64_t config = config_in_force(past, n, &d, cases[i].newest);
        if (config != cases[i].config)
            fail_msg("%s: config %d is in force", cases[i].what, (int)config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_go_both_ways),
        cmocka_unit_test(bad_documents_name_the_field),
        cmocka_unit_test(deep_documents_are_refused),
        cmocka_unit_test(maps_and_counts_go_both_ways),
        cmocka_unit_test(names_are_checked),
        cmocka_unit_test(keys_match_their_form),
        cmocka_unit_test(who_writes_is_in_the_tables),
        cmocka_unit_test(a_transition_has_one_owner),
        cmocka_unit_test(the_map_says_who_writes_what),
        cmocka_unit_test(nouns_are_documented),
        cmocka_unit_test(a_procfile_names_processes),
        cmocka_unit_test(an_app_json_is_read_and_its_errors_named),
        cmocka_unit_test(app_json_has_comments),
        cmocka_unit_test(app_json_fields_that_change_nothing_are_told),
        cmocka_unit_test(settings_have_defaults_and_bounds),
        cmocka_unit_test(what_is_current),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
