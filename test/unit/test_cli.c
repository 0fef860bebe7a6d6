/* The command line's own parts: words, options, times, base64, remotes, credentials, source trees.
 */
#include "cm.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/base64.h"
#include "cli/checkout.h"
#include "cli/cli.h"
#include "cli/credentials.h"
#include "cli/firewall.h"
#include "cli/source.h"
#include "os/file.h"
#include "os/spawn.h"

enum { ARGS_MAX = 12 };

/* Parses a line as a shell without quotes would hand it over. */
static int parse(char *line, struct cli *ret, struct err *err)
{
    char *argv[ARGS_MAX + 1] = {(char *)"davit"};
    int argc = 1;
    for (char *save = NULL, *w = strtok_r(line, " ", &save); w && argc < ARGS_MAX;
         w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    return cli_parse(argc, argv, ret, err);
}

static void verbs_are_found(void **state)
{
    (void)state;
    static const struct {
        const char *line, *words;
        size_t operands;
    } cases[] = {
        {"apps", "apps list", 0},
        {"apps list", "apps list", 0},
        {"apps create shop", "apps create", 1},
        {"config", "config get", 0},
        {"config get A", "config get", 1},
        {"config set A=1 B=2", "config set", 2},
        {"releases", "releases list", 0},
        {"rollback v3", "rollback", 1},
        {"ps -a shop", "ps", 0},
        {"-a shop ps", "ps", 0},
        {"scale web=3 -a shop worker=1", "scale", 2},
        {"apps create -- -odd", "apps create", 1},
        {"--version --json", "version", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err;
        _cleanup_(cli_release) struct cli cli = {0};
        _cleanup_free_ char *line = xstrdup(cases[i].line);
        assert_ok(parse(line, &cli, &err), err);
        assert_string_equal(cli.verb->words, cases[i].words);
        assert_int_equal(cli.n_args, cases[i].operands);
    }
}

static void options_take_values(void **state)
{
    (void)state;
    static const char *const lines[] = {"logs -a shop -n 5", "logs -ashop -n5",
                                        "logs --app shop --lines 5", "logs --app=shop --lines=5"};
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct err err;
        _cleanup_(cli_release) struct cli cli = {0};
        _cleanup_free_ char *line = xstrdup(lines[i]);
        assert_ok(parse(line, &cli, &err), err);
        assert_string_equal(cli.values[OPT_APP], "shop");
        assert_string_equal(cli.values[OPT_LINES], "5");
        assert_false(given(&cli, OPT_FOLLOW));
    }
}

static void wrong_usage_says_what_is_right(void **state)
{
    (void)state;
    static const struct {
        const char *line, *message, *hint;
    } cases[] = {
        {"pss", "no `davit pss`", "`davit ps`"},
        {"rolback", "no `davit rolback`", "`davit rollback`"},
        {"apps creat x", "no `davit apps creat`", "`davit apps create`"},
        {"config sett A=1", "no `davit config sett`", "`davit config set`"},
        {"xyzzy", "no `davit xyzzy`", "`davit help`"},
        {"config:set A=1", "no `davit config:set`", "mean `davit config set`?"},
        {"apps:create shop", "no `davit apps:create`", "mean `davit apps create`?"},
        {"maintenance:on", "no `davit maintenance:on`", "mean `davit maintenance on`?"},
        {"ps:scale web=2", "no `davit ps:scale`", "mean `davit scale`?"},
        {"releases:rollback", "no `davit releases:rollback`", "mean `davit rollback`?"},
        {"releases rollback v1", "no `davit releases rollback`", "mean `davit rollback`?"},
        {"git:remote -a shop", "no `davit git:remote`", "mean `davit remote add`?"},
        {"destroy shop", "no `davit destroy`", "mean `davit apps destroy`?"},
        {"push", "no `davit push`", "mean `git push davit main`?"},
        {"env", "no `davit env`", "mean `davit config`?"},
        {"run bash", "no `davit run`", "a `release` line in the Procfile"},
        {"run -it bash", "no `davit run`", "a `release` line in the Procfile"},
        {"ssh", "no `davit ssh`", "davit logs"},
        {"config:nonsense", "no `davit config:nonsense`", "`davit help`"},
        {"ps --jsn", "no option --jsn", "--json"},
        {"ps -z", "no option -z", "davit help"},
        {"ps --follow", "takes no --follow", "--help"},
        {"ps --app", "--app needs a value", ""},
        {"ps --json=yes", "--json takes no value", ""},
        {"ps shop", "takes less", "usage: davit ps"},
        {"config set", "needs more", "usage: davit config set NAME=VALUE..."},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err;
        _cleanup_(cli_release) struct cli cli = {0};
        _cleanup_free_ char *line = xstrdup(cases[i].line);
        assert_err(parse(line, &cli, &err), ERR_USAGE);
        assert_contains(err.msg, cases[i].message);
        assert_contains(err.hint, cases[i].hint);
        assert_int_equal(err_code_exit(err.code), 2);
    }
}

/* What is asked back is a command there is, and what it is asked back for is none. */
static void hints_for_other_tools_are_commands(void **state)
{
    (void)state;
    static const char *const table[][2] = {
#define FOREIGN(words, hint) {words, hint},
#include "cli/foreign.h"
#undef FOREIGN
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct err err;
        _cleanup_(cli_release) struct cli cli = {0}, wrong = {0};
        _cleanup_free_ char *hint = xasprintf("%s --help", table[i][1] + strlen("davit ")),
                            *typed = xstrdup(table[i][0]);
        if (!strncmp(table[i][1], "davit ", strlen("davit ")))
            assert_ok(parse(hint, &cli, &err), err);
        char *blank = strchr(typed, ' ');
        if (blank)
            *blank = ':';
        assert_err(parse(typed, &wrong, &err), ERR_USAGE);
        assert_contains(err.hint, table[i][1]);
    }
}

/* The table itself: what parsing, help and completion rely on. */
static void the_table_of_verbs_is_sound(void **state)
{
    (void)state;
    for (const struct verb *v = verbs; v->words; v++) {
        struct err err;
        _cleanup_(cli_release) struct cli cli = {0};
        _cleanup_free_ char *line = xasprintf("%s --help", v->words);
        assert_ok(parse(line, &cli, &err), err);
        assert_ptr_equal(cli.verb, v);
        assert_true(v->max < 0 || v->min <= v->max);
    }
    for (size_t i = 0; i < OPT_COUNT; i++)
        for (size_t j = i + 1; j < OPT_COUNT; j++) {
            assert_string_not_equal(options[i].long_name, options[j].long_name);
            assert_true(!options[i].short_name || options[i].short_name != options[j].short_name);
        }
}

static void the_nearest_word_is_near(void **state)
{
    (void)state;
    static const char *const words[] = {"shop", "blog", "shopping", "status"};
    static const struct {
        const char *word, *nearest;
    } cases[] = {{"shpo", "shop"}, {"shp", "shop"}, {"stauts", "status"}, {"shoping", "shopping"},
                 {"x", NULL},      {"zzzz", NULL},  {"", NULL},           {"stat", "status"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *found = nearest(cases[i].word, words, ARRAY_LEN(words));
        if (cases[i].nearest)
            assert_string_equal(found ? found : "nothing", cases[i].nearest);
        else
            assert_null(found);
    }
    char endless[500];
    memset(endless, 's', sizeof(endless) - 1);
    endless[sizeof(endless) - 1] = '\0';
    assert_null(nearest(endless, words, ARRAY_LEN(words)));
}

static void times_have_units(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t s;
    } good[] = {{"0", 0}, {"90", 90}, {"90s", 90}, {"10m", 600}, {"2h", 7200}, {"30d", 2592000}};
    static const char *const bad[] = {"", "m", "-1", "1w", "1.5h", "1 h", "99999999999999999999"};
    int64_t s;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_int_equal(duration_parse(good[i].text, &s, NULL), 0);
        assert_int_equal(s, good[i].s);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_err(duration_parse(bad[i], &s, NULL), ERR_USAGE);
}

/* The vectors of RFC 4648 §10, and what is none. */
static void base64_is_decoded(void **state)
{
    (void)state;
    static const char *const good[][2] = {
        {"", ""},        {"Zg==", "f"},        {"Zm8=", "fo"},
        {"Zm9v", "foo"}, {"Zm9vYg==", "foob"}, {"Zm9v\nYmFy", "foobar"}};
    static const char *const bad[] = {"Z", "Zg", "Zg=", "Zg===", "Z=g=", "Zm9v!", "Zg==Zg=="};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        _cleanup_(buf_release) struct buf b = BUF_INIT;
        assert_true(base64_decode(str_of(good[i][0]), &b));
        assert_true(str_eq(buf_str(&b), str_of(good[i][1])));
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        _cleanup_(buf_release) struct buf b = BUF_INIT;
        assert_false(base64_decode(str_of(bad[i]), &b));
    }
}

static void a_remote_names_its_app(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"http://api.localhost:8080/git/shop.git", "shop"},
        {"https://davit:secret@api.example.com/shop.git", "shop"},
        {"https://api.example.com/git/shop", "shop"},
        {"https://api.example.com/", NULL},
        {"https://api.example.com", NULL},
        {"git@example.com:shop.git", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_free_ char *app = checkout_app(cases[i][0]);
        assert_string_equal(app ? app : "none", cases[i][1] ? cases[i][1] : "none");
    }
}

/* A folder of its own for each test. */
static int folder(void **state)
{
    char *dir = xstrdup("/tmp/davit-test-cli.XXXXXX");
    if (!mkdtemp(dir) || chdir(dir) < 0)
        return -1;
    setenv("XDG_CONFIG_HOME", dir, 1);
    setenv("HOME", dir, 1);
    *state = dir;
    return 0;
}

static int folder_gone(void **state)
{
    char *dir = *state;
    int r = chdir("/") < 0 || dir_remove(dir, NULL) < 0 ? -1 : 0;
    free(dir);
    return r;
}

static void credentials_are_kept_for_our_eyes(void **state)
{
    _cleanup_free_ char *path = xasprintf("%s/davit/credentials.json", (char *)*state);
    struct err err;
    assert_null(credentials_token("https://a"));
    assert_null(credentials_default());
    assert_ok(credentials_store("https://a", "one", false, &err), err);
    assert_ok(credentials_store("https://b", "two", true, &err), err);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    char *found[] = {credentials_token("https://a"), credentials_token("https://b"),
                     credentials_default()};
    assert_string_equal(found[0], "one");
    assert_string_equal(found[1], "two");
    assert_string_equal(found[2], "https://b");
    for (size_t i = 0; i < ARRAY_LEN(found); i++)
        free(found[i]);
    assert_ok(credentials_store("https://b", NULL, false, &err), err);
    assert_null(credentials_token("https://b"));
    assert_null(credentials_default());
    assert_ok(file_write_atomic(path, STR("{ not json"), 0600, &err), err);
    assert_null(credentials_token("https://a"));
    assert_ok(credentials_store("https://a", "new", false, &err), err);
}

static void put(const char *path, const char *text)
{
    struct err err;
    assert_ok(file_replace(path, str_of(text), 0644, &err), err);
}

/* What `tar` finds in the stream, sorted, each name in a line. */
static void names_in(const char *dir, struct buf *ret)
{
    struct err err;
    _cleanup_(source_close) struct source s = SOURCE_INIT;
    assert_ok(source_open(dir, &s, &err), err);
    _cleanup_(buf_release) struct buf tar = BUF_INIT, list = BUF_INIT;
    char chunk[65536];
    for (ssize_t n; (n = read(s.fd, chunk, sizeof(chunk))) > 0;)
        buf_add(&tar, chunk, (size_t)n);
    assert_ok(source_finish(&s, &err), err);
    assert_ok(spawn_run((const char *const[]){"tar", "-tf", "-", NULL}, buf_str(&tar), &list, &err),
              err);
    assert_ok(spawn_run((const char *const[]){"sort", NULL}, buf_str(&list), ret, &err), err);
}

static void git(const char *a, const char *b, const char *c)
{
    struct err err;
    const char *const argv[] = {"git", "-c", "user.name=t", "-c", "user.email=t@t", a, b, c, NULL};
    assert_ok(spawn_run(argv, (struct str){0}, NULL, &err), err);
}

static void a_plain_folder_is_taken_whole(void **state)
{
    (void)state;
    _cleanup_(buf_release) struct buf names = BUF_INIT;
    assert_int_equal(mkdir("sub", 0755), 0);
    put("a file", "1");
    put("sub/-b", "2");
    names_in(".", &names);
    assert_string_equal(names.ptr, "./\n./a file\n./sub/\n./sub/-b\n");
}

static void a_checkout_is_what_git_sees(void **state)
{
    (void)state;
    _cleanup_(buf_release) struct buf names = BUF_INIT;
    git("init", "-q", ".");
    put(".gitignore", "ignored\n");
    put("ignored", "x");
    put("-rf", "a name like an option");
    put("kept", "x");
    put("gone", "x");
    assert_int_equal(symlink("kept", "link"), 0);
    git("add", "-A", ".");
    git("commit", "-q", "-mx");
    put("untracked", "x");
    assert_int_equal(unlink("gone"), 0);
    names_in(".", &names);
    assert_string_equal(names.ptr, "./-rf\n./.gitignore\n./kept\n./link\n./untracked\n");
    assert_null(checkout_clean_commit("."));
    git("add", "-A", ".");
    git("commit", "-q", "-my");
    _cleanup_free_ char *commit = checkout_clean_commit(".");
    assert_int_equal(strlen(commit), 40);
}

static void a_folder_that_is_none(void **state)
{
    (void)state;
    struct err err;
    struct source s = SOURCE_INIT;
    assert_err(source_open("nowhere", &s, &err), ERR_NOT_FOUND);
    put("file", "x");
    assert_err(source_open("file", &s, &err), ERR_USAGE);
    assert_contains(err.hint, "--archive file");
}

static void the_remote_is_added_and_changed(void **state)
{
    (void)state;
    struct err err;
    git("init", "-q", ".");
    assert_null(checkout_remote());
    assert_ok(checkout_set_remote("http://api.localhost:8080/git/shop.git", "!davit x",
                                  "/c/gitconfig", &err),
              err);
    assert_ok(checkout_set_remote("http://api.localhost:8080/git/blog.git", "!davit y",
                                  "/c/gitconfig", &err),
              err);
    _cleanup_free_ char *url = checkout_remote();
    assert_string_equal(url, "http://api.localhost:8080/git/blog.git");
    _cleanup_(buf_release) struct buf out = BUF_INIT;
    const char *const argv[] = {"git", "config", "--get-all",
                                "credential.http://api.localhost:8080.helper", NULL};
    assert_ok(spawn_run(argv, (struct str){0}, &out, &err), err);
    assert_string_equal(out.ptr, "!davit y\n");
}

#define CHAIN(table, policy)                                                                       \
    "{\"chain\":{\"family\":\"ip\",\"table\":\"" table "\",\"name\":\"FORWARD\",\"type\":"         \
    "\"filter\",\"hook\":\"forward\",\"prio\":0,\"policy\":\"" policy "\"}}"
#define RULE(table, chain, expr)                                                                   \
    ",{\"rule\":{\"family\":\"ip\",\"table\":\"" table "\",\"chain\":\"" chain                     \
    "\",\"expr\":[" expr "]}}"
#define FROM(interface)                                                                            \
    "{\"match\":{\"op\":\"==\",\"left\":{\"meta\":{\"key\":\"iifname\"}},\"right\":\"" interface "\"}},"

static void firewalls_that_close_the_way_out(void **state)
{
    (void)state;
    static const struct {
        const char *items;
        bool closed;
    } cases[] = {
        {CHAIN("filter", "accept"), false},
        {CHAIN("filter", "drop"), true},
        {CHAIN("filter", "drop") RULE("filter", "FORWARD", FROM("davit00") "{\"accept\":null}"),
         true},
        {CHAIN("filter", "drop") RULE("filter", "ZONES", FROM("davit0") "{\"accept\":null}"),
         false},
        {CHAIN("filter", "drop") RULE("other", "FORWARD", FROM("davit0") "{\"accept\":null}"),
         true},
        {CHAIN("filter", "accept")
             RULE("filter", "FORWARD", "{\"counter\":null},{\"reject\":null}"),
         true},
        {CHAIN("filter", "accept") RULE("filter", "FORWARD", FROM("eth7") "{\"drop\":null}"),
         false},
        {CHAIN("filter", "accept") RULE("filter", "INPUT", "{\"drop\":null}"), false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_free_ char *text = xasprintf("{\"nftables\":[%s]}", cases[i].items);
        json_auto_t *ruleset = json_loads(text, 0, NULL);
        assert_non_null(ruleset);
        _cleanup_free_ char *obstacle = firewall_obstacle(ruleset, "davit0");
        assert_int_equal(obstacle != NULL, cases[i].closed);
        if (obstacle)
            assert_string_equal(obstacle, "table ip filter, chain FORWARD");
    }
    assert_null(firewall_obstacle(NULL, "davit0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verbs_are_found),
        cmocka_unit_test(options_take_values),
        cmocka_unit_test(wrong_usage_says_what_is_right),
        cmocka_unit_test(hints_for_other_tools_are_commands),
        cmocka_unit_test(the_table_of_verbs_is_sound),
        cmocka_unit_test(the_nearest_word_is_near),
        cmocka_unit_test(times_have_units),
        cmocka_unit_test(base64_is_decoded),
        cmocka_unit_test(a_remote_names_its_app),
        cmocka_unit_test(firewalls_that_close_the_way_out),
        cmocka_unit_test_setup_teardown(credentials_are_kept_for_our_eyes, folder, folder_gone),
        cmocka_unit_test_setup_teardown(a_plain_folder_is_taken_whole, folder, folder_gone),
        cmocka_unit_test_setup_teardown(a_checkout_is_what_git_sees, folder, folder_gone),
        cmocka_unit_test_setup_teardown(a_folder_that_is_none, folder, folder_gone),
        cmocka_unit_test_setup_teardown(the_remote_is_added_and_changed, folder, folder_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
