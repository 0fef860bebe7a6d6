/* The api over its sockets: apps, who may what, config, releases, the audit log, bad input. */
#include "test_api_fixture.h"

#include <jansson.h>

#include <nettle/sha2.h>
#include <poll.h>
#include <signal.h>

#include "base/time.h"
#include "os/file.h"

static void an_app_lives_from_birth_to_end(void **state)
{
    (void)state;
    const struct reply *r = local("POST", "/v1/apps", "{\"name\":\"shop\"}");
    assert_int_equal(r->status, 201);
    assert_string_equal(field(r, "url"), "http://shop.localhost:8080");
    assert_string_equal(field(r, "git_url"), "http://api.localhost:8080/git/shop.git");
    assert_string_equal(field(r, "owner"), "root");
    assert_contains(local("GET", "/v1/apps", NULL)->body.ptr, "\"name\":\"shop\"");
    r = local("POST", "/v1/apps", "{\"name\":\"shop\"}");
    assert_int_equal(r->status, 409);
    assert_string_equal(field(r, "code"), "exists");
    struct desired d = {.release = 9};
    assert_true(get("/apps/shop/desired", &desired_schema, &d));
    assert_int_equal(d.release, 0);
    destroy_app("shop");
    assert_int_equal(local("GET", "/v1/apps/shop", NULL)->status, 404);
    assert_int_equal(local("DELETE", "/v1/apps/shop", NULL)->status, 404);
    _cleanup_(kv_list_release) struct kv_list left = {0};
    assert_int_equal(store_list(world.store, "/apps/shop", &left, NULL), 0);
    assert_int_equal(left.n, 0);
}

/* Until nothing is left of an app there is no other of its name. */
static void a_name_is_free_once_nothing_remains(void **state)
{
    (void)state;
    make_deployed_app("again");
    _cleanup_close_ int fd = dial(LOCAL);
    send_text(fd, "DELETE /v1/apps/again HTTP/1.1\r\nHost: t\r\n\r\n");
    _cleanup_(remains_release) struct remains left = {0};
    wait_until(get("/remains/again/builder", &remains_schema, &left));
    assert_int_equal(left.images.n, 1);
    assert_string_equal(left.images.items[0], "sha256:" AAAA);
    const struct reply *r = local("POST", "/v1/apps", "{\"name\":\"again\"}");
    assert_int_equal(r->status, 503);
    assert_string_equal(field(r, "message"), "the former app 'again' is still being removed: "
                                             "waits for gateway, run, builder");
    assert_contains(local("GET", "/v1/status", NULL)->body.ptr,
                    "\"removing\":[{\"app\":\"again\",\"waits_for\":\"gateway, run, builder\"}]");
    r = local("POST", "/git/again.git/git-receive-pack", "0000");
    assert_int_equal(r->status, 503);
    assert_contains(r->body.ptr, "is still being removed");
    /* Whatever happens meanwhile. */
    api_stop(SIGKILL);
    api_start();
    assert_int_equal(local("POST", "/v1/apps", "{\"name\":\"again\"}")->status, 503);
    _cleanup_(txn_release) struct txn t = {0};
    txn_delete(&t, "/remains/again/builder");
    txn_delete(&t, "/remains/again/run");
    txn_delete(&t, "/remains/again/gateway");
    assert_int_equal(store_txn(world.store, &t, NULL, NULL), 0);
    wait_until(local("POST", "/v1/apps", "{\"name\":\"again\"}")->status == 201);
}

static void bad_input_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path, *body;
        int status;
    } cases[] = {
        {"POST", "/v1/apps", "", 400},
        {"POST", "/v1/apps", "{\"name\":5}", 400},
        {"POST", "/v1/apps", "{\"nam\":\"x\"}", 400},
        {"POST", "/v1/apps", "{\"name\":\"x\",\"more\":1}", 400},
        {"POST", "/v1/apps", "{\"name\":\"api\"}", 400},
        {"POST", "/v1/apps", "{\"name\":\"A\"}", 400},
        {"POST", "/v1/apps", "{\"name\":\"\"}", 400},
        {"GET", "/v1/apps/UP", NULL, 400},
        {"GET", "/v1/apps/none", NULL, 404},
        {"GET", "/v1/apps/none/ps", NULL, 404},
        {"GET", "/v1/apps/none/logs", NULL, 404},
        {"POST", "/v1/apps/none/builds", "x", 404},
        {"GET", "/v1/apps/bad/logs?n=x", NULL, 400},
        {"GET", "/v1/apps/bad/logs?since=yesterday", NULL, 400},
        {"GET", "/v1/apps/bad/logs?source=nginx", NULL, 400},
        {"GET", "/v1/apps/bad/logs?process=../x", NULL, 400},
        {"GET", "/v1/apps/bad/releases/0", NULL, 400},
        {"GET", "/v1/apps/bad/releases/v9", NULL, 404},
        {"GET", "/v1/builds/none", NULL, 404},
        {"GET", "/v1/builds/..", NULL, 404},
        {"POST", "/v1/apps/bad/builds?commit=XYZ", "x", 400},
        {"POST", "/v1/apps/bad/builds?branch=a%0ab", "x", 400},
        {"POST", "/v1/apps/bad/builds", "", 400},
        {"PATCH", "/v1/apps/bad/formation", "{\"web\":1}", 422},
        {"POST", "/v1/apps/bad/rollback", "{}", 422},
        {"POST", "/v1/apps/bad/rollback", "{\"to\":-1}", 400},
        {"PUT", "/v1/apps/bad/maintenance", "{\"on\":1}", 400},
        {"PATCH", "/v1/apps/bad/config", "{\"1A\":\"x\"}", 400},
        {"PATCH", "/v1/apps/bad/config", "{\"A\":1}", 400},
        {"PATCH", "/v1/apps/bad/config", "{}", 400},
        {"PATCH", "/v1/apps/bad/config?restart=2", "{\"A\":\"1\"}", 400},
        {"POST", "/v1/apps/bad/domains", "{\"host\":\"nodots\"}", 400},
        {"POST", "/v1/apps/bad/domains", "{\"host\":\"x.localhost\"}", 400},
        {"DELETE", "/v1/apps/bad/domains/a.example", NULL, 404},
        {"POST", "/v1/tokens", "{\"name\":\"\"}", 400},
        {"POST", "/v1/tokens", "{\"name\":\"x\",\"ttl\":-5}", 400},
        {"DELETE", "/v1/tokens/abc", NULL, 404},
        {"GET", "/v1/events?n=100000", NULL, 400},
        {"PUT", "/v1/apps", "{}", 405},
        {"GET", "/v1/apps?limt=1", NULL, 400},
        {"GET", "/v1/apps?limit=0", NULL, 400},
        {"GET", "/v1/apps?limit=1001", NULL, 400},
        {"GET", "/v2", NULL, 404},
        {"GET", "/git/bad.git/HEAD", NULL, 404},
        {"GET", "/git/bad.git/info/refs", NULL, 404},
        {"GET", "/git/..%2f..%2fx.git/info/refs?service=git-upload-pack", NULL, 404},
        {"GET", "/git/none.git/info/refs?service=git-upload-pack", NULL, 404},
    };
    local("POST", "/v1/apps", "{\"name\":\"bad\"}");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct reply *r = local(cases[i].method, cases[i].path, cases[i].body);
        if (r->status != cases[i].status)
            fail_msg("%s %s %s: %d %s", cases[i].method, cases[i].path,
                     cases[i].body ? cases[i].body : "", r->status, r->body.ptr);
        if (!strstr(cases[i].path, "/git/"))
            assert_true(*field(r, "code") && *field(r, "message"));
    }
    destroy_app("bad");
}

/* Goes through a list page by page from a cursor on; the values of `name` in its items, a comma
 * behind each. */
static void add_pages(const char *path, const char *after, int limit, const char *name,
                      struct buf *ret)
{
    _cleanup_free_ char *next = xstrdup(after);
    for (int pages = 0; next; pages++) {
        assert_true(pages < 10);
        _cleanup_free_ char *url =
            xasprintf("%s?limit=%d%s%s", path, limit, *next ? "&after=" : "", next);
        const struct reply *r = local("GET", url, NULL);
        json_t *doc = json_loads(r->body.ptr, 0, NULL), *item;
        size_t i;
        assert_int_equal(r->status, 200);
        assert_in_range(json_array_size(json_object_get(doc, "items")), 0, limit);
        json_array_foreach(json_object_get(doc, "items"), i, item)
        {
            const json_t *v = json_object_get(item, name);
            if (json_is_string(v))
                buf_addf(ret, "%s,", json_string_value(v));
            else
                buf_addf(ret, "%lld,", (long long)json_integer_value(v));
        }
        free(next);
        next = json_object_get(doc, "next")
                   ? xstrdup(json_string_value(json_object_get(doc, "next")))
                   : NULL;
        json_decref(doc);
    }
}

static void a_list_comes_in_pages(void **state)
{
    (void)state;
    static const char *const names[] = {"page", "page-a", "page-b", "pagea", "pageb"};
    static const struct {
        const char *type, *id;
        int64_t index;
    } instances[] = {{"web", "v1.g0.1", 1},
                     {"web", "v1.g0.2", 2},
                     {"web", "v1.g0.10", 10},
                     {"web", "v2.g0.1", 1},
                     {"clock", "v1.g0.1", 1}};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        _cleanup_free_ char *body = xasprintf("{\"name\":\"%s\"}", names[i]);
        assert_int_equal(local("POST", "/v1/apps", body)->status, 201);
    }
    for (size_t i = 0; i < ARRAY_LEN(instances); i++) {
        struct instance in = {.app = (char *)"page",
                              .type = (char *)instances[i].type,
                              .id = (char *)instances[i].id,
                              .index = instances[i].index,
                              .release = 1};
        _cleanup_free_ char *key = key_instance("page", in.type, in.id);
        put(key, &instance_schema, &in);
    }
    wait_until(strstr(local("GET", "/v1/apps/page/ps", NULL)->body.ptr, "clock"));
    for (int64_t n = 1; n <= 3; n++) {
        _cleanup_free_ char *key = key_release("page", n);
        put(key, &release_schema, &(struct release){.number = n, .image = (char *)"sha256:aaaa"});
    }
    wait_until(strstr(local("GET", "/v1/apps/page/releases", NULL)->body.ptr, "\"number\":3"));
    for (int limit = 1; limit <= 6; limit++) {
        _cleanup_(buf_release) struct buf apps = BUF_INIT, ids = BUF_INIT, releases = BUF_INIT;
        add_pages("/v1/apps", "p", limit, "name", &apps);
        assert_string_equal(apps.ptr, "page,page-a,page-b,pagea,pageb,");
        add_pages("/v1/apps/page/ps", "", limit, "id", &ids);
        assert_string_equal(ids.ptr, "v1.g0.1,v1.g0.1,v2.g0.1,v1.g0.2,v1.g0.10,");
        add_pages("/v1/apps/page/releases", "", limit, "number", &releases);
        assert_string_equal(releases.ptr, "3,2,1,");
    }
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        destroy_app(names[i]);
}

/* A NUL ended the path where it was decoded, and another app's request was answered. */
static void control_characters_in_urls_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path;
    } cases[] = {
        {"DELETE", "/v1/apps/esc%00/domains/a.example"},
        {"DELETE", "/v1/apps/esc%00"},
        {"GET", "/v1/apps/esc%0a"},
        {"GET", "/v1/apps/esc%1F"},
        {"GET", "/v1/apps/esc%7f"},
        {"GET", "/v1/apps/esc/logs?process=web%00x"},
        {"GET", "/v1/apps?%01"},
        {"GET", "/v1/nonsense%00"},
        {"GET", "/git/esc.git%00/info/refs?service=git-upload-pack"},
        {"POST", "/git/esc%00.git/git-receive-pack"},
    };
    assert_int_equal(local("POST", "/v1/apps", "{\"name\":\"esc\"}")->status, 201);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct reply *r = local(cases[i].method, cases[i].path, NULL);
        if (r->status != 400)
            fail_msg("%s %s: %d %s", cases[i].method, cases[i].path, r->status, r->body.ptr);
    }
    assert_int_equal(local("GET", "/v1/apps/%65sc", NULL)->status, 200);
    assert_int_equal(local("GET", "/v1/apps?after=%2500%e2%82%ac", NULL)->status, 200);
    destroy_app("esc");
}

static void large_bodies_are_refused(void **state)
{
    (void)state;
    _cleanup_free_ char *body = xmalloc(3 << 20);
    memset(body, 'x', (3 << 20) - 1);
    body[(3 << 20) - 1] = '\0';
    assert_int_equal(local("POST", "/v1/apps", body)->status, 413);
    /* Nobody waits for what an unknown client goes on sending. */
    _cleanup_close_ int fd = dial(GATEWAY);
    send_text(fd, "POST /v1/apps HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000000\r\n\r\n");
    size_t sent = 0;
    while (sent < (size_t)900 << 20) {
        ssize_t n = write(fd, body, 1 << 20);
        if (n <= 0)
            break;
        sent += (size_t)n;
    }
    assert_true(sent < (size_t)64 << 20);
    /* Who asks first is told at once. */
    const struct reply *r = http(GATEWAY, "POST", "/v1/apps",
                                 "Expect: 100-continue\r\nContent-Length: 1000000\r\n", NULL);
    assert_int_equal(r->status, 401);
}

static void tokens_are_made_and_revoked(void **state)
{
    (void)state;
    assert_int_equal(http(GATEWAY, "GET", "/v1/apps", "", NULL)->status, 401);
    assert_int_equal(http(GATEWAY, "GET", "/v1/apps", "Authorization: Bearer x\r\n", NULL)->status,
                     401);
    const struct reply *r = local("POST", "/v1/tokens", "{\"name\":\"mine\",\"ttl\":3600}");
    assert_int_equal(r->status, 201);
    _cleanup_free_ char *secret = xstrdup(field(r, "token")), *id = xstrdup(field(r, "id")),
                        *header = xasprintf("Authorization: Bearer %s\r\n", secret),
                        *path = xasprintf("/v1/tokens/%s", id);
    assert_int_equal(strlen(secret), 64);
    assert_int_equal(strlen(id), 12);
    r = http(GATEWAY, "GET", "/v1/status", header, NULL);
    assert_int_equal(r->status, 200);
    assert_string_equal(field(r, "user"), "root");
    r = local("GET", "/v1/tokens", NULL);
    assert_string_equal(field(r, "id"), id);
    assert_null(strstr(r->body.ptr, secret)); /* shown once */
    _cleanup_(kv_list_release) struct kv_list all = {0};
    assert_int_equal(store_list(world.store, "/", &all, NULL), 0);
    for (size_t i = 0; i < all.n; i++)
        assert_null(strstr(all.items[i].value, secret)); /* and stored nowhere */
    assert_int_equal(local("DELETE", path, NULL)->status, 204);
    assert_int_equal(http(GATEWAY, "GET", "/v1/status", header, NULL)->status, 401);
}

static void an_expired_token_is_worthless(void **state)
{
    (void)state;
    _cleanup_free_ char *secret = make_token("old", ROLE_ADMIN, "2020-01-01T00:00:00Z"),
                        *header = xasprintf("Authorization: Bearer %s\r\n", secret);
    const struct reply *r = NULL;
    wait_until(strstr((r = http(GATEWAY, "GET", "/v1/apps", header, NULL))->body.ptr, "expired"));
    assert_int_equal(r->status, 401);
}

/* Every route, for every role. */
static void roles_bound_what_one_may(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path, *body;
        int least;
    } cases[] = {
        {"GET", "/v1/apps", NULL, ROLE_VIEWER},
        {"GET", "/v1/events", NULL, ROLE_VIEWER},
        {"GET", "/v1/apps/none", NULL, ROLE_VIEWER},
        {"GET", "/v1/tokens", NULL, ROLE_VIEWER},
        {"DELETE", "/v1/tokens/none", NULL, ROLE_VIEWER},
        {"POST", "/v1/tokens", "{}", ROLE_DEVELOPER},
        {"POST", "/v1/apps", "{}", ROLE_DEVELOPER},
        {"GET", "/v1/apps/none/config", NULL, ROLE_DEVELOPER},
        {"POST", "/v1/apps/none/builds", "x", ROLE_DEVELOPER},
        {"POST", "/v1/apps/none/rollback", "{}", ROLE_DEVELOPER},
        {"GET", "/git/none.git/info/refs?service=git-upload-pack", NULL, ROLE_VIEWER},
        {"GET", "/git/some.git/info/refs?service=git-receive-pack", NULL, ROLE_DEVELOPER},
        {"POST", "/git/some.git/git-receive-pack", "0000", ROLE_DEVELOPER},
    };
    static const char *const users[] = {"vera", "dora", "ada"};
    for (int role = ROLE_VIEWER; role <= ROLE_ADMIN; role++) {
        _cleanup_free_ char *secret = make_token(users[role], role, ""),
                            *header = xasprintf("Authorization: Bearer %s\r\n", secret);
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            const struct reply *r =
                http(GATEWAY, cases[i].method, cases[i].path, header, cases[i].body);
            assert_int_equal(r->status == 403, role < cases[i].least);
            assert_int_not_equal(r->status, 401);
        }
    }
}

static void users_come_and_go(void **state)
{
    (void)state;
    assert_int_equal(local("PUT", "/v1/users/otto", "{\"role\":\"boss\"}")->status, 400);
    assert_int_equal(local("PUT", "/v1/users/Otto", "{\"role\":\"viewer\"}")->status, 400);
    assert_int_equal(local("PUT", "/v1/users/root", "{\"role\":\"viewer\"}")->status, 400);
    assert_int_equal(local("POST", "/v1/tokens", "{\"name\":\"x\",\"user\":\"otto\"}")->status,
                     404);
    assert_string_equal(field(local("PUT", "/v1/users/otto", "{\"role\":\"viewer\"}"), "role"),
                        "viewer");
    const struct reply *r = local("POST", "/v1/tokens", "{\"name\":\"x\",\"user\":\"otto\"}");
    _cleanup_free_ char *header = xasprintf("Authorization: Bearer %s\r\n", field(r, "token"));
    assert_int_equal(http(GATEWAY, "GET", "/v1/users", header, NULL)->status, 200);
    assert_int_equal(http(GATEWAY, "POST", "/v1/apps", header, "{\"name\":\"ottos\"}")->status,
                     403);
    assert_int_equal(http(GATEWAY, "PUT", "/v1/users/otto", header, "{\"role\":\"admin\"}")->status,
                     403);
    assert_int_equal(local("PUT", "/v1/users/otto", "{\"role\":\"developer\"}")->status, 200);
    assert_int_equal(http(GATEWAY, "POST", "/v1/apps", header, "{\"name\":\"ottos\"}")->status,
                     201);
    /* Whoever is no admin sees and revokes their own only. */
    const char *mine = strstr(http(GATEWAY, "GET", "/v1/tokens", header, NULL)->body.ptr, "otto");
    assert_non_null(mine);
    assert_null(strstr(http(GATEWAY, "GET", "/v1/tokens", header, NULL)->body.ptr, "\"root\""));
    r = local("POST", "/v1/tokens", "{\"name\":\"roots\"}");
    _cleanup_free_ char *roots = xasprintf("/v1/tokens/%s", field(r, "id"));
    assert_int_equal(http(GATEWAY, "DELETE", roots, header, NULL)->status, 404);
    assert_int_equal(local("DELETE", roots, NULL)->status, 204);
    /* A developer makes tokens for nobody else. */
    r = http(GATEWAY, "POST", "/v1/tokens", header, "{\"name\":\"x\",\"user\":\"root\"}");
    assert_int_equal(r->status, 403);
    assert_int_equal(local("DELETE", "/v1/users/otto", NULL)->status, 204);
    assert_int_equal(http(GATEWAY, "GET", "/v1/users", header, NULL)->status, 401);
    assert_int_equal(local("DELETE", "/v1/users/otto", NULL)->status, 404);
    assert_int_equal(local("DELETE", "/v1/users/root", NULL)->status, 400);
}

static void an_admin_acts_on_behalf_of_others(void **state)
{
    (void)state;
    put("/users/bella", &user_schema,
        &(struct user){.name = (char *)"bella", .role = ROLE_DEVELOPER});
    const struct reply *r = NULL;
    static const char as_bella[] = "Davit-On-Behalf-Of: bella\r\nX-Forwarded-For: 192.0.2.1\r\n";
    wait_until((r = http(LOCAL, "POST", "/v1/apps", as_bella, "{\"name\":\"bellas\"}"))->status ==
               201);
    assert_string_equal(field(r, "owner"), "bella");
    r = local("GET", "/v1/events?app=bellas", NULL);
    assert_string_equal(field(r, "who"), "bella");
    assert_string_equal(field(r, "from"), "192.0.2.1");
    r = http(LOCAL, "GET", "/v1/apps", "Davit-On-Behalf-Of: nobody-known\r\n", NULL);
    assert_int_equal(r->status, 403);
    /* Through the gateway the header means nothing. */
    assert_int_equal(http(GATEWAY, "GET", "/v1/apps", as_bella, NULL)->status, 401);
}

static void config_is_set_and_unset(void **state)
{
    (void)state;
    const struct reply *r;
    make_deployed_app("conf");
    r = local("PATCH", "/v1/apps/conf/config", "{\"A\":\"1\",\"B\":\"two\\nlines\"}");
    assert_string_equal(r->body.ptr,
                        "{\"release\":2,\"vars\":{\"A\":\"1\",\"B\":\"two\\nlines\"}}\n");
    _cleanup_(release_release) struct release release = {0};
    assert_true(get("/apps/conf/releases/0000000002", &release_schema, &release));
    assert_string_equal(release.description, "Set A, B");
    assert_string_equal(release.image, "sha256:" AAAA);
    assert_int_equal(release.config, 1);
    assert_int_equal(release.processes.n, 3);
    _cleanup_(desired_release) struct desired d = {0};
    assert_true(get("/apps/conf/desired", &desired_schema, &d));
    assert_int_equal(d.release, 2);
    r = local("PATCH", "/v1/apps/conf/config?restart=0", "{\"A\":null,\"C\":\"3\"}");
    assert_contains(r->body.ptr, "{\"release\":0,");
    assert_string_equal(local("GET", "/v1/apps/conf/config", NULL)->body.ptr,
                        "{\"B\":\"two\\nlines\",\"C\":\"3\"}\n");
    /* The same again changes no variable, but brings what waited. */
    assert_contains(local("PATCH", "/v1/apps/conf/config", "{\"C\":\"3\"}")->body.ptr,
                    "{\"release\":3,");
    assert_contains(local("PATCH", "/v1/apps/conf/config", "{\"C\":\"3\"}")->body.ptr,
                    "{\"release\":0,");
    _cleanup_free_ char *large = xmalloc(40000), *body = NULL;
    memset(large, 'x', 39999);
    large[39999] = '\0';
    body = xasprintf("{\"L\":\"%s\"}", large);
    assert_int_equal(local("PATCH", "/v1/apps/conf/config", body)->status, 413);
}

static void release_ends(const char *app, int64_t number, int how)
{
    _cleanup_free_ char *key = key_release_status(app, number),
                        *path = xasprintf("/v1/apps/%s/releases/%d", app, (int)number);
    put(key, &release_status_schema, &(struct release_status){.state = how});
    wait_until(strstr(local("GET", path, NULL)->body.ptr, release_state_names[how]));
}

#define shows(app, vars)                                                                           \
    assert_string_equal(local("GET", "/v1/apps/" app "/config", NULL)->body.ptr, vars "\n")

/* What is shown, and what the next change starts from, is what runs. */
static void config_follows_what_runs(void **state)
{
    (void)state;
    make_deployed_app("true");
    assert_int_equal(local("PATCH", "/v1/apps/true/config", "{\"A\":\"1\"}")->status, 200);
    release_ends("true", 2, RELEASE_LIVE);
    release_ends("true", 1, RELEASE_SUPERSEDED);
    assert_int_equal(local("PATCH", "/v1/apps/true/config", "{\"PATH\":\"/nope\"}")->status, 200);
    shows("true", "{\"A\":\"1\",\"PATH\":\"/nope\"}");
    release_ends("true", 3, RELEASE_FAILED);
    shows("true", "{\"A\":\"1\"}");
    assert_contains(local("GET", "/v1/apps/true", NULL)->body.ptr, "\"release\":2,");
    assert_contains(local("PATCH", "/v1/apps/true/config", "{\"B\":\"2\"}")->body.ptr,
                    "{\"release\":4,\"vars\":{\"A\":\"1\",\"B\":\"2\"}}");
    release_ends("true", 4, RELEASE_LIVE);
    release_ends("true", 2, RELEASE_SUPERSEDED);
    local("PATCH", "/v1/apps/true/config?restart=0", "{\"LATER\":\"1\"}");
    shows("true", "{\"A\":\"1\",\"B\":\"2\",\"LATER\":\"1\"}");
    assert_int_equal(local("POST", "/v1/apps/true/rollback", "{\"to\":2}")->status, 201);
    shows("true", "{\"A\":\"1\"}");
    assert_contains(local("PATCH", "/v1/apps/true/config", "{\"C\":\"3\"}")->body.ptr,
                    "{\"release\":6,\"vars\":{\"A\":\"1\",\"C\":\"3\"}}");
}

/* A change after a deploy that failed is one of what runs, not another attempt at the deploy. */
static void config_may_change_after_a_failed_deploy(void **state)
{
    (void)state;
    make_deployed_app("stay");
    _cleanup_(release_release) struct release made = {0};
    put("/apps/stay/releases/0000000002", &release_schema,
        &(struct release){.number = 2, .image = (char *)"sha256:bbbb"});
    put("/apps/stay/desired", &desired_schema, &(struct desired){.release = 2});
    release_ends("stay", 2, RELEASE_FAILED);
    assert_contains(local("PATCH", "/v1/apps/stay/config", "{\"A\":\"1\"}")->body.ptr,
                    "{\"release\":3,");
    assert_true(get("/apps/stay/releases/0000000003", &release_schema, &made));
    assert_string_equal(made.image, "sha256:" AAAA);
}

/* What a first deploy lacked is set, and it is tried again with all that was set before. */
static void config_may_change_after_a_failed_first_deploy(void **state)
{
    (void)state;
    make_deployed_app("first");
    release_ends("first", 1, RELEASE_FAILED);
    local("PATCH", "/v1/apps/first/config", "{\"A\":\"1\"}");
    release_ends("first", 2, RELEASE_FAILED);
    assert_contains(local("PATCH", "/v1/apps/first/config", "{\"B\":\"2\"}")->body.ptr,
                    "{\"release\":3,\"vars\":{\"A\":\"1\",\"B\":\"2\"}}");
}

static void a_rollback_is_a_new_release(void **state)
{
    (void)state;
    make_deployed_app("back");
    assert_int_equal(local("POST", "/v1/apps/back/rollback", "{\"to\":0}")->status, 422);
    assert_int_equal(local("PATCH", "/v1/apps/back/config", "{\"A\":\"1\"}")->status, 200);
    const struct reply *r = local("POST", "/v1/apps/back/rollback", "{\"to\":0}");
    assert_int_equal(r->status, 201);
    assert_string_equal(field(r, "description"), "Rollback to v1");
    assert_contains(r->body.ptr, "\"number\":3");
    assert_null(strstr(r->body.ptr, "\"config\"")); /* v1 had none */
    r = local("POST", "/v1/apps/back/rollback", "{\"to\":7}");
    assert_int_equal(r->status, 404);
    put("/apps/back/releases/0000000002/status", &release_status_schema,
        &(struct release_status){.state = RELEASE_FAILED, .reason = (char *)"it burnt"});
    wait_until(strstr(local("GET", "/v1/apps/back/releases/2", NULL)->body.ptr, "failed"));
    r = local("POST", "/v1/apps/back/rollback", "{\"to\":2}");
    assert_int_equal(r->status, 422);
    assert_contains(r->body.ptr, "it burnt");
    _cleanup_free_ char *blob = path_join(world.config.state, "images/blobs/sha256/" AAAA);
    assert_int_equal(unlink(blob), 0);
    r = local("POST", "/v1/apps/back/rollback", "{\"to\":1}");
    assert_int_equal(r->status, 422);
    assert_contains(r->body.ptr, "collected");
}

static void apps_scale_restart_and_pause(void **state)
{
    (void)state;
    make_deployed_app("fleet");
    const struct reply *r = local("PATCH", "/v1/apps/fleet/formation", "{\"web\":3}");
    assert_string_equal(r->body.ptr, "{\"web\":3,\"worker\":0}\n");
    r = local("PATCH", "/v1/apps/fleet/formation", "{\"cron\":1}");
    assert_int_equal(r->status, 422);
    assert_contains(field(r, "hint"), "web, worker");
    assert_int_equal(local("PATCH", "/v1/apps/fleet/formation", "{\"release\":1}")->status, 422);
    assert_int_equal(local("PATCH", "/v1/apps/fleet/formation", "{\"web\":101}")->status, 400);
    assert_int_equal(local("PATCH", "/v1/apps/fleet/formation", "{\"web\":1.5}")->status, 400);
    assert_string_equal(local("POST", "/v1/apps/fleet/restart", NULL)->body.ptr,
                        "{\"generation\":1}\n");
    assert_string_equal(local("PUT", "/v1/apps/fleet/maintenance", "{\"on\":true}")->body.ptr,
                        "{\"on\":true}\n");
    _cleanup_(desired_release) struct desired d = {0};
    assert_true(get("/apps/fleet/desired", &desired_schema, &d));
    assert_true(d.maintenance && d.generation == 1 && counts_get(&d.formation, "web", 0) == 3);
}

static void domains_belong_to_one_app(void **state)
{
    (void)state;
    local("POST", "/v1/apps", "{\"name\":\"dom\"}");
    local("POST", "/v1/apps", "{\"name\":\"dom2\"}");
    assert_int_equal(local("POST", "/v1/apps/dom/domains", "{\"host\":\"a.example\"}")->status,
                     201);
    const struct reply *r = local("POST", "/v1/apps/dom2/domains", "{\"host\":\"a.example\"}");
    assert_int_equal(r->status, 409);
    assert_contains(r->body.ptr, "'dom'");
    assert_contains(local("GET", "/v1/apps/dom", NULL)->body.ptr, "\"domains\":[\"a.example\"]");
    assert_int_equal(local("DELETE", "/v1/apps/dom/domains/a.example", NULL)->status, 204);
    assert_int_equal(local("POST", "/v1/apps/dom2/domains", "{\"host\":\"a.example\"}")->status,
                     201);
}

/* Each event holds the hash of the one before; somebody else's event in between breaks nothing. */
static void the_audit_log_is_a_chain(void **state)
{
    (void)state;
    _cleanup_(kv_list_release) struct kv_list events = {0};
    assert_int_equal(store_list(world.store, "/events/", &events, NULL), 0);
    _cleanup_free_ char *next = key_event((int64_t)events.n + 1);
    put(next, &event_schema,
        &(struct event){.number = (int64_t)events.n + 1, .what = (char *)"foreign"});
    assert_int_equal(local("POST", "/v1/apps", "{\"name\":\"chained\"}")->status, 201);
    kv_list_release(&events);
    assert_int_equal(store_list(world.store, "/events/", &events, NULL), 0);
    char before[65] = "";
    for (size_t i = 0; i < events.n; i++) {
        _cleanup_(event_release) struct event e = {0};
        struct str text = {events.items[i].value, events.items[i].value_len};
        assert_int_equal(model_decode(&event_schema, text, &e, NULL), 0);
        assert_int_equal(e.number, i + 1);
        if (!streq(e.what, "foreign"))
            assert_string_equal(e.previous ? e.previous : "", before);
        struct sha256_ctx ctx;
        uint8_t digest[SHA256_DIGEST_SIZE];
        sha256_init(&ctx);
        sha256_update(&ctx, text.len, (const uint8_t *)text.ptr);
        sha256_digest(&ctx, sizeof(digest), digest);
        hex_encode(digest, sizeof(digest), before);
    }
    /* After a restart the chain goes on where it ended. */
    api_stop(SIGKILL);
    api_start();
    destroy_app("chained");
    _cleanup_free_ char *last = key_event((int64_t)events.n + 1);
    _cleanup_(event_release) struct event e = {0};
    assert_true(get(last, &event_schema, &e));
    assert_string_equal(e.previous, before);
}

/* The oldest events go; the chain of the others stays whole, also over a restart in between. */
static void the_audit_log_is_bounded(void **state)
{
    (void)state;
    enum { FOREIGN = 1300, CHANGES = 8, KEPT_MAX = 1000 + 100 };
    _cleanup_(kv_list_release) struct kv_list events = {0};
    assert_int_equal(store_list(world.store, "/events/", &events, NULL), 0);
    int64_t number = (int64_t)events.n;
    for (int i = 0; i < FOREIGN; i++) {
        _cleanup_free_ char *key = key_event(++number);
        put(key, &event_schema, &(struct event){.number = number, .what = (char *)"foreign"});
    }
    assert_int_equal(local("POST", "/v1/apps", "{\"name\":\"bounded\"}")->status, 201);
    for (int i = 1; i < CHANGES; i++) {
        if (i == CHANGES / 2) {
            api_stop(SIGKILL);
            api_start();
        }
        assert_int_equal(local("PUT", "/v1/apps/bounded/maintenance", "{\"on\":true}")->status,
                         200);
    }
    kv_list_release(&events);
    assert_int_equal(store_list(world.store, "/events/", &events, NULL), 0);
    assert_in_range(events.n, 1000, KEPT_MAX);
    _cleanup_(audit_release) struct audit a = {0};
    _cleanup_free_ char *key = key_audit();
    assert_true(get(key, &audit_schema, &a));
    int64_t first = number + CHANGES + 1 - (int64_t)events.n;
    assert_int_equal(a.oldest, first);
    _cleanup_free_ char *oldest = key_event(first);
    assert_string_equal(events.items[0].key, oldest);
    assert_contains(local("GET", "/v1/events?n=1000", NULL)->body.ptr, "\"maintenance.on\"");
}

static void events_are_followed(void **state)
{
    (void)state;
    struct answer a;
    _cleanup_(buf_release) struct buf body = BUF_INIT;
    _cleanup_close_ int fd = dial(LOCAL);
    answer_init(&a);
    send_text(fd, "GET /v1/events?follow=1&n=1&app=followed HTTP/1.1\r\nHost: t\r\n\r\n");
    local("POST", "/v1/apps", "{\"name\":\"unrelated\"}");
    local("POST", "/v1/apps", "{\"name\":\"followed\"}");
    read_answer(fd, &a, &body, "app.create");
    destroy_app("followed");
    read_answer(fd, &a, &body, "app.destroy");
    assert_null(strstr(body.ptr, "unrelated"));
    answer_release(&a);
}

static void logs_are_followed(void **state)
{
    (void)state;
    local("POST", "/v1/apps", "{\"name\":\"talker\"}");
    struct answer a;
    _cleanup_(buf_release) struct buf body = BUF_INIT;
    _cleanup_close_ int fd = dial(LOCAL);
    _cleanup_free_ char *path = path_join(world.config.log, "talker/web.1.log");
    answer_init(&a);
    send_text(fd, "GET /v1/apps/talker/logs?follow=1 HTTP/1.1\r\nHost: t\r\n\r\n");
    wait_until(file_replace(path, STR("2026-09-16T15:13:46.677020+00:00 app[web.1]: one\n"), 0644,
                            NULL) == 0);
    read_answer(fd, &a, &body, "one\n");
    assert_contains(local("GET", "/v1/apps/talker/logs?n=1", NULL)->body.ptr, "app[web.1]: one\n");
    /* A process there never was says so. */
    assert_int_equal(local("GET", "/v1/apps/talker/logs?process=web.1", NULL)->status, 200);
    assert_int_equal(local("GET", "/v1/apps/talker/logs?process=web", NULL)->status, 200);
    const struct reply *r = local("GET", "/v1/apps/talker/logs?process=web.9", NULL);
    assert_int_equal(r->status, 404);
    assert_string_equal(field(r, "message"), "talker has no process 'web.9', and no log of one");
    assert_int_equal(local("GET", "/v1/apps/talker/logs?process=clock", NULL)->status, 404);
    destroy_app("talker");
    read_answer(fd, &a, &body, NULL); /* ends with the app */
    assert_int_equal(a.state, ANSWER_DONE);
    answer_release(&a);
}

static void git_pushes_and_fetches(void **state)
{
    (void)state;
    local("POST", "/v1/apps", "{\"name\":\"code\"}");
    const struct reply *r = local("GET", "/git/code.git/info/refs?service=git-upload-pack", NULL);
    assert_int_equal(r->status, 200);
    assert_contains(r->body.ptr, "001e# service=git-upload-pack\n0000");
    /* Looking makes neither an app nor a repository, not even for a push; a push of nothing does.
     */
    _cleanup_free_ char *repo = path_join(world.config.state, "git/unborn.git");
    r = local("GET", "/git/unborn.git/info/refs?service=git-receive-pack", NULL);
    assert_int_equal(r->status, 200);
    assert_contains(r->body.ptr, "001f# service=git-receive-pack\n0000");
    assert_int_equal(local("GET", "/v1/apps/unborn", NULL)->status, 404);
    assert_false(path_exists(repo));
    assert_int_equal(local("POST", "/git/unborn.git/git-receive-pack", "0000")->status, 200);
    assert_int_equal(local("GET", "/v1/apps/unborn", NULL)->status, 200);
    assert_int_equal(http(LOCAL, "POST", "/git/code.git/git-upload-pack",
                          "Content-Encoding: gzip\r\n", "not gzip")
                         ->status,
                     400);
    assert_true(path_exists(repo));
    destroy_app("unborn");
    assert_false(path_exists(repo));
}

/* What git is told before all else may be more than a pipe holds, less, or all there is. */
static void git_takes_many_shallow_commits(void **state)
{
    (void)state;
    static const int counts[] = {10, 600, 3000};
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        _cleanup_(buf_release) struct buf body = BUF_INIT;
        for (int n = 0; n < counts[i]; n++)
            buf_addf(&body, "0034shallow %040x", n);
        buf_adds(&body, "0000");
        const struct reply *r = local("POST", "/git/cut.git/git-receive-pack", body.ptr);
        assert_int_equal(r->status, 200);
    }
    destroy_app("cut");
}

static void await_end(int fd)
{
    char byte;
    struct pollfd p = {fd, POLLIN, 0};
    do
        assert_int_equal(poll(&p, 1, 10000), 1);
    while (read(fd, &byte, 1) > 0);
}

/* Strangers who send a body drop by drop, more of them than there are connections. */
static void strangers_hold_nothing(void **state)
{
    (void)state;
    enum { MANY = 600 };
    for (int i = 0; i < MANY; i++) {
        _cleanup_(buf_release) struct buf body = BUF_INIT;
        _cleanup_close_ int fd = dial(GATEWAY);
        struct answer a;
        answer_init(&a);
        send_text(fd, "POST /v1/apps HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\n\r\nx");
        read_answer(fd, &a, &body, NULL);
        assert_int_equal(a.status, 401);
        answer_release(&a);
        await_end(fd);
    }
}

static void follow_events(int fd, const char *token, struct answer *a, struct buf *body)
{
    answer_init(a);
    send_text(fd,
              "GET /v1/events?follow=1&n=1 HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer %s\r\n\r\n",
              token);
    read_answer(fd, a, body, "\n");
}

static void one_user_does_not_hold_all(void **state)
{
    (void)state;
    enum { MAX = 64 };
    _cleanup_free_ char *token = make_token("greedy", ROLE_VIEWER, "");
    _cleanup_free_ char *other = make_token("modest", ROLE_VIEWER, "");
    _cleanup_free_ char *headers = xasprintf("Authorization: Bearer %s\r\n", token);
    _cleanup_free_ char *others = xasprintf("Authorization: Bearer %s\r\n", other);
    int fds[MAX];
    for (int i = 0; i < MAX; i++) {
        _cleanup_(buf_release) struct buf body = BUF_INIT;
        struct answer a;
        follow_events(fds[i] = dial(GATEWAY), token, &a, &body);
        assert_int_equal(a.status, 200);
        answer_release(&a);
    }
    const struct reply *r = http(GATEWAY, "GET", "/v1/apps", headers, NULL);
    assert_int_equal(r->status, 429);
    assert_string_equal(field(r, "code"), "too_many");
    assert_int_equal(http(GATEWAY, "GET", "/v1/apps", others, NULL)->status, 200);
    /* The hook of a push that was let in is not one more. */
    r = http(LOCAL, "GET", "/v1/apps", "Davit-On-Behalf-Of: greedy\r\n", NULL);
    assert_int_equal(r->status, 200);
    for (int i = 0; i < MAX; i++)
        close(fds[i]);
    wait_until(http(GATEWAY, "GET", "/v1/apps", headers, NULL)->status == 200);
}

/* Whoever is let go reads no further: their token goes, then a user with a new one. */
static void streams_end_with_their_user(void **state)
{
    (void)state;
    for (int user_goes = 0; user_goes < 2; user_goes++) {
        _cleanup_free_ char *token = make_token("leaver", ROLE_DEVELOPER, "");
        _cleanup_free_ char *headers = xasprintf("Authorization: Bearer %s\r\n", token);
        _cleanup_(buf_release) struct buf body = BUF_INIT;
        _cleanup_close_ int fd = dial(GATEWAY);
        struct answer a;
        follow_events(fd, token, &a, &body);
        assert_int_equal(a.status, 200);
        answer_release(&a);
        if (user_goes) {
            assert_int_equal(local("DELETE", "/v1/users/leaver", NULL)->status, 204);
        } else {
            const struct reply *r = http(GATEWAY, "GET", "/v1/tokens", headers, NULL);
            _cleanup_free_ char *path = xasprintf("/v1/tokens/%s", field(r, "id"));
            assert_int_equal(http(GATEWAY, "DELETE", path, headers, NULL)->status, 204);
        }
        await_end(fd);
    }
}

/* Nothing else happens when the token ends. */
static void streams_end_with_their_token(void **state)
{
    (void)state;
    for (int64_t life = 1, status = 0; status != 200; life *= 2) {
        char expires[TIME_TEXT_LEN + 1];
        int64_t end = time_wall_us() + life * 1000000;
        time_rfc3339(end, expires);
        _cleanup_free_ char *token = make_token("brief", ROLE_VIEWER, expires);
        _cleanup_free_ char *headers = xasprintf("Authorization: Bearer %s\r\n", token);
        wait_until(http(GATEWAY, "GET", "/v1/status", headers, NULL)->status == 200 ||
                   time_wall_us() > end);
        _cleanup_(buf_release) struct buf body = BUF_INIT;
        _cleanup_close_ int fd = dial(GATEWAY);
        struct answer a;
        follow_events(fd, token, &a, &body);
        status = a.status; /* not 200: too slow for so short a life */
        answer_release(&a);
        if (status == 200)
            await_end(fd);
    }
}

static void many_connections_are_served(void **state)
{
    (void)state;
    enum { MANY = 400 };
    int fds[MANY];
    for (int i = 0; i < MANY; i++) {
        fds[i] = dial(GATEWAY);
        send_text(fds[i], "GET /v1/apps HTTP/1.1\r\nHo");
    }
    assert_int_equal(http(GATEWAY, "GET", "/v1/apps", "", NULL)->status, 401);
    assert_int_equal(local("GET", "/v1/apps", NULL)->status, 200);
    for (int i = 0; i < MANY; i++)
        close(fds[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_app_lives_from_birth_to_end),
        cmocka_unit_test(a_name_is_free_once_nothing_remains),
        cmocka_unit_test(bad_input_is_refused),
        cmocka_unit_test(a_list_comes_in_pages),
        cmocka_unit_test(control_characters_in_urls_are_refused),
        cmocka_unit_test(large_bodies_are_refused),
        cmocka_unit_test(tokens_are_made_and_revoked),
        cmocka_unit_test(an_expired_token_is_worthless),
        cmocka_unit_test(roles_bound_what_one_may),
        cmocka_unit_test(users_come_and_go),
        cmocka_unit_test(an_admin_acts_on_behalf_of_others),
        cmocka_unit_test(config_is_set_and_unset),
        cmocka_unit_test(config_follows_what_runs),
        cmocka_unit_test(config_may_change_after_a_failed_deploy),
        cmocka_unit_test(config_may_change_after_a_failed_first_deploy),
        cmocka_unit_test(a_rollback_is_a_new_release),
        cmocka_unit_test(apps_scale_restart_and_pause),
        cmocka_unit_test(domains_belong_to_one_app),
        cmocka_unit_test(the_audit_log_is_a_chain),
        cmocka_unit_test(the_audit_log_is_bounded),
        cmocka_unit_test(events_are_followed),
        cmocka_unit_test(logs_are_followed),
        cmocka_unit_test(git_pushes_and_fetches),
        cmocka_unit_test(git_takes_many_shallow_commits),
        cmocka_unit_test(strangers_hold_nothing),
        cmocka_unit_test(one_user_does_not_hold_all),
        cmocka_unit_test(streams_end_with_their_user),
        cmocka_unit_test(streams_end_with_their_token),
        cmocka_unit_test(many_connections_are_served),
    };
    return cmocka_run_group_tests(tests, world_begin, world_end);
}
