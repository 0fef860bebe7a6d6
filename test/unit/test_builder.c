#include "cm.h"

#include <sys/file.h>
#include <sys/syscall.h>

#include "builder/buildpacks.h"
#include "builder/fetch.h"
#include "builder/firewall.h"
#include "builder/folder.h"
#include "builder/housekeeping.h"
#include "builder/imageproc.h"
#include "builder/limits.h"
#include "builder/plan.h"
#include "builder/processes.h"
#include "builder/stack.h"
#include "os/file.h"
#include "os/spawn.h"

/* --- plan ------------------------------------------------------------------------------------ */

static void plan_decides(void **state)
{
    (void)state;
    const struct {
        const char *what;
        struct candidate builds[4];
        enum build_action expected[4];
    } cases[] = {
        {"one an app, two at once, in order",
         {{"1", "a", BUILD_QUEUED, false, true, JOB_NONE},
          {"2", "a", BUILD_QUEUED, false, true, JOB_NONE},
          {"3", "b", BUILD_QUEUED, false, true, JOB_NONE},
          {"4", "c", BUILD_QUEUED, false, true, JOB_NONE}},
         {BUILD_START, BUILD_WAIT, BUILD_START, BUILD_WAIT}},
        {"those that run count",
         {{"1", "a", BUILD_RUNNING, false, true, JOB_RUNNING},
          {"2", "b", BUILD_RUNNING, false, true, JOB_RUNNING},
          {"3", "c", BUILD_QUEUED, false, true, JOB_NONE},
          {"4", "d", BUILD_SUCCEEDED, false, true, JOB_NONE}},
         {BUILD_WAIT, BUILD_WAIT, BUILD_WAIT, BUILD_WAIT}},
        {"what is through is written down, then let go",
         {{"1", "a", BUILD_RUNNING, false, true, JOB_DONE},
          {"2", "a", BUILD_QUEUED, false, true, JOB_NONE},
          {"3", "b", BUILD_FAILED, false, true, JOB_DONE},
          {"4", "b", BUILD_QUEUED, false, true, JOB_NONE}},
         {BUILD_COMMIT, BUILD_WAIT, BUILD_FORGET, BUILD_START}},
        {"unwanted ones stop, or never start",
         {{"1", "a", BUILD_RUNNING, true, true, JOB_RUNNING},
          {"2", "a", BUILD_QUEUED, true, true, JOB_NONE},
          {"3", "b", BUILD_QUEUED, false, false, JOB_NONE},
          {"4", "b", BUILD_RUNNING, false, false, JOB_RUNNING}},
         {BUILD_STOP, BUILD_REFUSE, BUILD_REFUSE, BUILD_STOP}},
        {"what ran when we were killed is lost",
         {{"1", "a", BUILD_RUNNING, false, true, JOB_NONE},
          {"2", "a", BUILD_QUEUED, false, true, JOB_NONE},
          {"3", "b", BUILD_CANCELLED, true, true, JOB_NONE},
          {"4", "b", BUILD_QUEUED, false, true, JOB_NONE}},
         {BUILD_LOST, BUILD_WAIT, BUILD_WAIT, BUILD_START}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        enum build_action got[4];
        build_plan(cases[i].builds, 4, got);
        for (size_t k = 0; k < 4; k++)
            if (got[k] != cases[i].expected[k])
                fail_msg("%s: build %zu: %d instead of %d", cases[i].what, k + 1, got[k],
                         cases[i].expected[k]);
    }
}

/* --- bin/release ----------------------------------------------------------------------------- */

static void release_yaml_gives_processes_and_variables(void **state)
{
    (void)state;
    struct map processes = {0}, env = {0};
    struct err err;
    const char *text = "---\naddons: []\nconfig_vars:\n  PATH: /a:/b\n  N: 1\n"
                       "default_process_types:\n  web: \"node x\"\n  worker: run it\n";
    assert_int_equal(release_yaml_parse(str_of(text), &processes, &env, &err), 0);
    assert_string_equal(map_get(&processes, "web"), "node x");
    assert_string_equal(map_get(&processes, "worker"), "run it");
    assert_string_equal(map_get(&env, "PATH"), "/a:/b");
    assert_string_equal(map_get(&env, "N"), "1");
    map_release(&processes);
    map_release(&env);
    const char *const nothing[] = {"", "--- {}\n", "default_process_types:\n", "- a\n", "x"};
    for (size_t i = 0; i < ARRAY_LEN(nothing); i++) {
        assert_int_equal(release_yaml_parse(str_of(nothing[i]), &processes, &env, &err), 0);
        assert_int_equal(processes.n + env.n, 0);
    }
    const char *const bad[] = {"a: [", "default_process_types: {we b: x}",
                               "config_vars: {A: {b: c}}", "config_vars: {\"A=\": c}"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (release_yaml_parse(str_of(bad[i]), &processes, &env, &err) == 0)
            fail_msg("'%s' was taken", bad[i]);
        map_release(&processes);
        map_release(&env);
    }
}

static void each_buildpack_keeps_its_path(void **state)
{
    (void)state;
    struct map env = {0}, more = {0};
    map_set(&more, "PATH", "/app/node_modules/.bin:/bin");
    map_set(&more, "A", "1");
    env_merge(&env, &more);
    assert_string_equal(map_get(&env, "PATH"), "/app/node_modules/.bin:/bin");
    map_set(&more, "PATH", "/app/.davit/python/bin:/bin");
    map_set(&more, "A", "2");
    env_merge(&env, &more);
    assert_string_equal(map_get(&env, "PATH"),
                        "/app/.davit/python/bin:/bin:/app/node_modules/.bin:/bin");
    assert_string_equal(map_get(&env, "A"), "2");
    map_release(&env);
    map_release(&more);
}

/* --- processes ------------------------------------------------------------------------------- */

static struct app_json app_json_of(const char *text)
{
    struct app_json a = {0};
    struct err err;
    if (app_json_parse(str_of(text), &a, &err) < 0)
        fail_msg("%s", err.msg);
    return a;
}

static void processes_come_from_procfile_or_defaults(void **state)
{
    (void)state;
    struct map defaults = {0};
    struct list l = {0};
    map_set(&defaults, "web", "default");
    assert_int_equal(processes_list((struct str){0}, &defaults, &l, NULL), 0);
    assert_string_equal(processes_find(&l, "web")->command, "default");
    assert_int_equal(processes_find(&l, "web")->quantity, 1);
    processes_release(&l);
    assert_int_equal(processes_list(STR("worker: w\n"), &defaults, &l, NULL), 0);
    assert_null(processes_find(&l, "web"));
    assert_int_equal(processes_find(&l, "worker")->quantity, 0);
    processes_release(&l);
    map_release(&defaults);
}

static void app_json_completes_them(void **state)
{
    (void)state;
    struct app_json a =
        app_json_of("{\"formation\":{\"worker\":{\"quantity\":2},\"gone\":{\"quantity\":1}},"
                    "\"scripts\":{\"dokku\":{\"predeploy\":\"before\"},\"postdeploy\":\"after\"},"
                    "\"healthchecks\":{\"web\":[{\"type\":\"startup\",\"path\":\"/up\"}],"
                    "\"lost\":[{\"type\":\"startup\",\"uptime\":3}]}}");
    struct list l = {0};
    struct strv warnings = {0};
    struct map none = {0};
    assert_int_equal(processes_list(STR("web: a\nworker: b\nrelease: migrate\n"), &none, &l, NULL),
                     0);
    assert_int_equal(processes_complete(&a, &l, &warnings, NULL), 0);
    assert_int_equal(processes_find(&l, "worker")->quantity, 2);
    assert_string_equal(processes_find(&l, "postdeploy")->command, "after");
    const char *phase = processes_find(&l, "release")->command;
    assert_true(strstr(phase, "before") < strstr(phase, "migrate"));
    const struct process *web = processes_find(&l, "web");
    assert_int_equal(web->checks.n, 1);
    assert_string_equal(list_at(&web->checks, struct check, 0)->path, "/up");
    assert_int_equal(warnings.n, 2);
    processes_release(&l);
    strv_release(&warnings);
    app_json_release(&a);
}

static void nothing_to_run_is_an_error_with_a_way_out(void **state)
{
    (void)state;
    struct app_json a = {0};
    struct list l = {0};
    struct strv warnings = {0};
    struct map none = {0};
    struct err err;
    assert_int_equal(processes_complete(&a, &l, &warnings, &err), -ERR_UNPROCESSABLE);
    assert_non_null(strstr(err.msg, "no Procfile"));
    assert_non_null(strstr(err.hint, "web: "));
    assert_int_equal(processes_list(STR("release: x\n"), &none, &l, NULL), 0);
    assert_int_equal(processes_complete(&a, &l, &warnings, &err), -ERR_UNPROCESSABLE);
    processes_release(&l);
}

static void app_json_wishes_become_variables(void **state)
{
    (void)state;
    struct app_json a =
        app_json_of("{\"env\":{\"A\":\"1\",\"SET\":\"2\",\"S\":{\"generator\":\"secret\"},"
                    "\"T\":{\"generator\":\"secret\"},\"O\":{\"required\":false}}}");
    struct map have = {0}, got = {0};
    map_set(&have, "SET", "mine");
    assert_int_equal(env_wishes(&a, &have, &got, NULL), 0);
    assert_string_equal(map_get(&got, "A"), "1");
    assert_null(map_get(&got, "SET"));
    assert_null(map_get(&got, "O"));
    assert_int_equal(strlen(map_get(&got, "S")), 64);
    assert_string_not_equal(map_get(&got, "S"), map_get(&got, "T"));
    map_release(&got);
    app_json_release(&a);

    struct err err;
    a = app_json_of("{\"env\":{\"X\":{\"description\":\"d\"},\"Y\":{},\"SET\":{}}}");
    assert_int_equal(env_wishes(&a, &have, &got, &err), -ERR_UNPROCESSABLE);
    assert_non_null(strstr(err.msg, "X, Y"));
    assert_null(strstr(err.msg, "SET"));
    assert_non_null(strstr(err.hint, "davit config set"));
    app_json_release(&a);
    map_release(&have);
}

/* --- foreign images -------------------------------------------------------------------------- */

static void an_image_says_what_runs(void **state)
{
    (void)state;
    struct image i = {.user = xstrdup("1000:1000"),
                      .workdir = xstrdup(""),
                      .stop_signal = xstrdup("SIGQUIT"),
                      .healthcheck = xstrdup("{\"Test\":[\"CMD-SHELL\",\"curl x\"],"
                                             "\"Interval\":5000000000,\"Timeout\":2000000000,"
                                             "\"StartPeriod\":7000000000,\"Retries\":4}")};
    strv_add(&i.entrypoint, "/entry");
    strv_add(&i.cmd, "serve");
    strv_add(&i.ports, "53/udp");
    strv_add(&i.ports, "9090/tcp");
    strv_add(&i.ports, "8080");
    struct process p = {0};
    assert_int_equal(image_web_process(&i, &p, NULL), 0);
    assert_string_equal(p.type, "web");
    assert_int_equal(p.argv.n, 2);
    assert_string_equal(p.argv.items[0], "/entry");
    assert_int_equal(p.port, 8080);
    assert_string_equal(p.user, "1000:1000");
    assert_string_equal(p.workdir, "/");
    assert_string_equal(p.stop_signal, "SIGQUIT");
    assert_int_equal(p.checks.n, 2);
    const struct check *startup = list_at(&p.checks, struct check, 0);
    const struct check *liveness = list_at(&p.checks, struct check, 1);
    assert_int_equal(startup->type, CHECK_STARTUP);
    assert_string_equal(startup->command.items[2], "curl x");
    assert_int_equal(liveness->type, CHECK_LIVENESS);
    assert_int_equal(liveness->wait, 5);
    assert_int_equal(liveness->timeout, 2);
    assert_int_equal(liveness->attempts, 4);
    assert_int_equal(liveness->initial_delay, 7);
    process_release(&p);
    image_release(&i);

    i = (struct image){.healthcheck = xstrdup("{\"Test\":[\"NONE\"]}")};
    strv_add(&i.cmd, "x");
    assert_int_equal(image_web_process(&i, &p, NULL), 0);
    assert_int_equal(p.checks.n, 0);
    assert_int_equal(p.port, 0);
    assert_string_equal(p.user, "root");
    process_release(&p);
    image_release(&i);

    struct err err;
    assert_int_equal(image_web_process(&i, &p, &err), -ERR_UNPROCESSABLE);
    assert_non_null(strstr(err.hint, "Procfile"));
}

/* --- output ---------------------------------------------------------------------------------- */

static char *scratch_dir(void)
{
    char name[] = "/tmp/test-build.XXXXXX";
    assert_non_null(mkdtemp(name));
    return xstrdup(name);
}

static void secrets_never_show_and_lines_stay_whole(void **state)
{
    (void)state;
    _cleanup_free_ char *dir = scratch_dir();
    _cleanup_free_ char *path = path_join(dir, "log");
    _cleanup_(buf_release) struct buf got = BUF_INIT;
    struct output o;
    struct map vars = {0};
    map_set(&vars, "KEY", "hunter2-hunter2");
    map_set(&vars, "LONGER", "hunter2-hunter2-and-more");
    map_set(&vars, "PEM", "-----BEGIN-----\nabcdef0123456789\n-----END-----");
    map_set(&vars, "NODE_ENV", "production");
    map_set(&vars, "SHORT", "ab1");
    assert_int_equal(output_open(&o, path, NULL), 0);
    output_hide(&o, &vars);
    output_step(&o, "Building %d", 1);
    output_feed(&o, "a hunter2-hunt", 14);
    output_feed(&o, "er2 b\r\nc 10%\rc 50%", 18);
    output_feed(&o, "\rc 100%\n\nhunter2-hunter2-and-more abcdef0123456789 production ab1\nlast",
                70);
    output_warning(&o, "one\ntwo hunter2-hunter2");
    output_feed(&o, "\033[32mgreen\033[0m \033]0;title\a\233 \342\200\256\n", 31);
    output_close(&o);
    assert_int_equal(file_read(path, &got, NULL), 0);
    assert_string_equal(got.ptr, "-----> Building 1\n"
                                 "a [redacted] b\n"
                                 "c 100%\n"
                                 "\n"
                                 "[redacted] [redacted] production ab1\n"
                                 "last\n"
                                 " !     one\n"
                                 " !     two [redacted]\n"
                                 "\033[32mgreen\033[0m \\u001b]0;title\\u0007\\x9b \\u202e\n");
    map_release(&vars);
    dir_remove(dir, NULL);
}

/* --- housekeeping ---------------------------------------------------------------------------- */

static void the_newest_that_served_are_retained(void **state)
{
    (void)state;
    const int64_t numbers[] = {1, 2, 3, 4, 5, 6};
    const int states[] = {RELEASE_SUPERSEDED, RELEASE_SUPERSEDED, RELEASE_FAILED,
                          RELEASE_SUPERSEDED, RELEASE_LIVE,       RELEASE_STARTING};
    bool keep[6];
    releases_retained(numbers, states, 6, 6, 3, keep);
    const bool three[] = {false, false, false, true, true, true};
    assert_memory_equal(keep, three, sizeof(keep));
    releases_retained(numbers, states, 6, 6, 4, keep);
    const bool four[] = {false, true, false, true, true, true};
    assert_memory_equal(keep, four, sizeof(keep));
    releases_retained(numbers, states, 6, 2, 1,
                      keep); /* what is desired stays, with all after it */
    const bool current[] = {false, true, true, true, true, true};
    assert_memory_equal(keep, current, sizeof(keep));
}

static void lists_of_a_former_version_go(void **state)
{
    (void)state;
    char dir[] = "/tmp/davit-chores.XXXXXX";
    assert_non_null(mkdtemp(dir));
    struct config c = {.cache = dir, .state = dir};
    struct chores chores = {0};
    struct image_store *images;
    _cleanup_free_ char *store = path_join(dir, "images");
    _cleanup_free_ char *former = path_join(dir, "build/apt/lists/partial");
    _cleanup_free_ char *now = path_join(dir, "build/apt/lists.bookworm");
    assert_int_equal(image_store_open(store, 0, &images, NULL), 0);
    assert_int_equal(dir_make(former, 0755, NULL), 0);
    assert_int_equal(dir_make(now, 0755, NULL), 0);
    for (int i = 0; i < 2; i++) /* the second time there is nothing to remove */
        chores_do(&c, images, &chores);
    *strrchr(former, '/') = '\0';
    assert_false(path_exists(former));
    assert_true(path_exists(now));
    image_store_close(images);
    dir_remove(dir, NULL);
}

/* --- buildpacks' URLs ------------------------------------------------------------------------ */

static void buildpack_urls_are_taken_apart(void **state)
{
    (void)state;
    const struct config c = {.build_services = (char *)"127.0.0.1:80 127.0.0.1:5000"};
    const struct {
        const char *name, *url, *ref;
    } good[] = {
        {"https://example.com/a.git", "https://example.com/a.git", "HEAD"},
        {"https://example.com/a.git#v1.2", "https://example.com/a.git", "v1.2"},
        {"http://127.0.0.1:5000/a.git#main", "http://127.0.0.1:5000/a.git", "main"},
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        char *url = NULL, *ref = NULL;
        assert_int_equal(buildpack_url(&c, good[i].name, &url, &ref, NULL), 0);
        assert_string_equal(url, good[i].url);
        assert_string_equal(ref, good[i].ref);
        free(url);
        free(ref);
    }
    const char *const bad[] = {"",
                               "nonsense",
                               "-uhttps://x",
                               "ext::sh -c x",
                               "https://a b",
                               "/etc",
                               "https://x#-x",
                               "heroku/",
                               "heroku/ruby",
                               "davit/ruby",
                               "file://host/x",
                               "file:///srv/pack",
                               "git://host/x",
                               "ssh://host/x",
                               "http://host/x",
                               "http://127.0.0.1:8/x",
                               "http://127.0.0.1/x",
                               "http://127.0.0.1:5000@host/x",
                               "git@host:x",
                               "http:///x",
                               "FILE:///x"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char *url, *ref;
        struct err err;
        if (buildpack_url(&c, bad[i], &url, &ref, &err) != -ERR_UNPROCESSABLE)
            fail_msg("'%s' was taken", bad[i]);
    }
}

/* --- the folder of a build -------------------------------------------------------------------- */

static void a_folder_that_was_swapped_leads_nowhere(void **state)
{
    (void)state;
    char dir[] = "/tmp/test-folder.XXXXXX";
    assert_non_null(mkdtemp(dir));
    struct config c = {.state = dir};
    struct err err;
    _cleanup_free_ char *elsewhere = path_join(dir, "elsewhere"), *kept = path_join(elsewhere, "x"),
                        *swapped = path_join(dir, "builds/b2");
    _cleanup_close_ int fd = folder_open(&c, "b1", "output.log", O_WRONLY | O_CREAT, &err);
    assert_true(fd >= 0);
    assert_int_equal(mkdir(elsewhere, 0755), 0);
    assert_int_equal(file_replace(kept, STR(""), 0644, NULL), 0);
    assert_int_equal(symlink("../elsewhere", swapped), 0);
    assert_true(folder_open(&c, "b2", "output.log", O_WRONLY | O_CREAT, &err) < 0);
    assert_non_null(strstr(err.msg, "builds/b2/output.log"));
    folder_forget(&c, "b2", "x");
    assert_int_equal(unlink(kept), 0);
    assert_int_equal(rmdir(elsewhere), 0); /* it is empty */
    assert_true(folder_open(&c, "../b1", "output.log", O_WRONLY, &err) < 0);
    assert_int_equal(dir_remove(dir, NULL), 0);
}

/* --- stacks ---------------------------------------------------------------------------------- */

static int flock_errno;

/* In libc's place. */
int flock(int fd, int operation)
{
    if (!flock_errno)
        return (int)syscall(SYS_flock, fd, operation);
    errno = flock_errno;
    return -1;
}

static void a_lock_that_cannot_be_had_is_an_error(void **state)
{
    (void)state;
    char dir[] = "/tmp/test-stack.XXXXXX";
    assert_non_null(mkdtemp(dir));
    struct config c = {.cache = dir};
    struct output out = {.fd = -1};
    struct stacks s = {.config = &c, .out = &out};
    struct err err;
    int fd = -1;
    assert_int_equal(stack_lock(&s, "stacks", &fd, &err), 0);
    close(fd);
    flock_errno = ENOLCK;
    int r = stack_lock(&s, "stacks", &fd, &err);
    flock_errno = 0;
    assert_true(r < 0);
    assert_non_null(strstr(err.msg, "stacks.lock"));
    assert_int_equal(dir_remove(dir, NULL), 0);
}

static void herokus_buildpacks_are_ours_where_there_is_one(void **state)
{
    (void)state;
    const char *const cases[][2] = {{"nodejs", "nodejs"},
                                    {"davit/go", "go"},
                                    {"heroku/nodejs", "nodejs"},
                                    {"heroku/python#v300", "python"},
                                    {"heroku-community/static", "static"},
                                    {"https://github.com/heroku/heroku-buildpack-go", "go"},
                                    {"https://github.com/heroku/heroku-buildpack-go.git#v1", "go"},
                                    {"https://github.com/me/heroku-buildpack-go", NULL},
                                    {"heroku/ruby", NULL},
                                    {"heroku/", NULL}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct language *l = buildpack_ours(cases[i][0]);
        if (cases[i][1] ? !l || !streq(l->name, cases[i][1]) : l != NULL)
            fail_msg("%s: %s", cases[i][0], l ? l->name : "not ours");
    }
    _cleanup_free_ char *dir = scratch_dir();
    struct choice choice = {0};
    struct app_json app = {0};
    struct strv warnings = {0};
    struct config c = {.data = (char *)DAVIT_SOURCE};
    struct err err;
    strv_add(&app.buildpacks, "heroku/nodejs");
    strv_add(&app.buildpacks, "heroku/python");
    assert_int_equal(buildpacks_choose(&c, dir, &app, &choice, &warnings, &err), 0);
    assert_int_equal(choice.packs.n, 2);
    choice_release(&choice);
    strv_add(&app.buildpacks, "heroku/ruby");
    int r = buildpacks_choose(&c, dir, &app, &choice, &warnings, &err);
    if (r != -ERR_UNPROCESSABLE || !strstr(err.msg, "heroku/ruby"))
        fail_msg("%d %s", r, err.msg);
    assert_non_null(strstr(err.hint, "nodejs, python, go, c and static"));
    choice_release(&choice);
    app_json_release(&app);
    dir_remove(dir, NULL);
}

/* --- firewall -------------------------------------------------------------------------------- */

static void nft_takes_the_rules(void **state)
{
    (void)state;
    struct config c = {.bridge = (char *)"davit-abc.1",
                       .uid_base = 70000,
                       .build_services = (char *)"127.0.0.1:5000  [::1]:5001"};
    struct err err;
    struct strv proxies = {0};
    _cleanup_(buf_release) struct buf rules = BUF_INIT;
    static const char *const urls[] = {"http://127.0.0.1:3128/", "http://me:secret@[::1]:3129",
                                       "[trusted=yes] http://192.0.2.1:8080/debian",
                                       "http://192.0.2.2/", "none"};
    for (size_t i = 0; i < ARRAY_LEN(urls); i++)
        firewall_addresses(urls[i], &proxies);
    assert_int_equal(firewall_rules(&c, &proxies, &rules, &err), 0);
    assert_non_null(strstr(rules.ptr, "ip daddr 127.0.0.1 tcp dport 5000 ct mark set 70003"));
    assert_non_null(strstr(rules.ptr, "ip6 daddr ::1 tcp dport 5001 ct mark set 70003"));
    assert_non_null(strstr(rules.ptr, "skuid 70000-135535"));
    assert_non_null(
        strstr(rules.ptr, "\"lo\" ip daddr 127.0.0.1 tcp dport 3128 ct mark set 70003"));
    assert_non_null(strstr(rules.ptr, "\"lo\" ip6 daddr ::1 tcp dport 3129 ct mark set 70003"));
    /* another machine's port isn't opened on this one */
    assert_non_null(strstr(rules.ptr, "\"lo\" ip daddr 192.0.2.1 tcp dport 8080 ct mark set"));
    assert_null(strstr(rules.ptr, "\"lo\" tcp dport"));
    assert_null(strstr(rules.ptr, "192.0.2.2"));
    assert_non_null(strstr(rules.ptr, "{ 169.254.0.0/16, 100.100.100.200 } reject"));
    /* a SYN that brings data with it */
    assert_non_null(strstr(rules.ptr, "tcp doff 10 ip length != 60 reject"));
    assert_non_null(strstr(rules.ptr, "tcp doff 10 ip6 length != 40 reject"));
    if (geteuid() == 0 && /* nft wants root even to check */
        spawn_run((const char *const[]){"nft", "-c", "-f", "-", NULL}, buf_str(&rules), NULL,
                  &err) < 0)
        fail_msg("%s", err.msg);
    static const char *const wrong[] = {
        "5000", "localhost:5000", "127.0.0.1:", "127.0.0.1:5000;x", "::1:5000", "127.0.0.1:0"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        c.build_services = (char *)wrong[i];
        assert_int_equal(firewall_rules(&c, &proxies, &rules, &err), -ERR_INVALID);
        assert_non_null(strstr(err.msg, "build_services"));
    }
    strv_release(&proxies);
}

static void layers_may_be_larger_than_sources(void **state)
{
    (void)state;
    struct config c = {.unpack_max = 2048};
    assert_int_equal(source_limits(&c).bytes, (uint64_t)2 << 30);
    assert_int_equal(source_limits(&c).entries, 4000000);
    assert_int_equal(layer_limits(&c).bytes, (uint64_t)8 << 30);
    assert_true(file_limit(&c) > layer_limits(&c).bytes);
    c.unpack_max = 1;
    assert_int_equal(source_limits(&c).entries, 2048);
    assert_non_null(strstr(layer_limits(&c).hint, "unpack_max"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plan_decides),
        cmocka_unit_test(each_buildpack_keeps_its_path),
        cmocka_unit_test(release_yaml_gives_processes_and_variables),
        cmocka_unit_test(processes_come_from_procfile_or_defaults),
        cmocka_unit_test(app_json_completes_them),
        cmocka_unit_test(nothing_to_run_is_an_error_with_a_way_out),
        cmocka_unit_test(app_json_wishes_become_variables),
        cmocka_unit_test(an_image_says_what_runs),
        cmocka_unit_test(secrets_never_show_and_lines_stay_whole),
        cmocka_unit_test(the_newest_that_served_are_retained),
        cmocka_unit_test(lists_of_a_former_version_go),
        cmocka_unit_test(buildpack_urls_are_taken_apart),
        cmocka_unit_test(a_folder_that_was_swapped_leads_nowhere),
        cmocka_unit_test(a_lock_that_cannot_be_had_is_an_error),
        cmocka_unit_test(herokus_buildpacks_are_ours_where_there_is_one),
        cmocka_unit_test(nft_takes_the_rules),
        cmocka_unit_test(layers_may_be_larger_than_sources),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
