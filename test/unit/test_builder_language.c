/* What an app of a language asks for: versions, package.json, the lockfile's package manager. */
#include "cm.h"

#include "builder/registry.h"
#include "builder/node.h"
#include "builder/python.h"
#include "builder/recipe.h"
#include "os/file.h"

/* --- versions -------------------------------------------------------------------------------- */

static void ranges_match_as_npm_has_them(void **state)
{
    (void)state;
    const struct {
        const char *range;
        const char *in, *out; /* separated by blanks */
    } cases[] = {
        {"18", "18.0.0 18.99.1", "17.9.9 19.0.0"},
        {"18.x", "18.0.0 18.99.1", "19.0.0"},
        {"18.2", "18.2.0 18.2.9", "18.3.0 18.1.9"},
        {"18.2.3", "18.2.3", "18.2.4 18.2.2"},
        {"=18.2.3", "18.2.3", "18.2.4"},
        {"v18.2.3", "18.2.3", "18.2.4"},
        {"*", "0.0.0 99.0.0", ""},
        {"", "0.0.0 99.0.0", ""},
        {">=16", "16.0.0 99.0.0", "15.9.9"},
        {">= 16.1", "16.1.0", "16.0.9"},
        {">16", "17.0.0", "16.0.0 16.9.9"},
        {">16.1.0", "16.1.1", "16.1.0"},
        {"<=16", "16.9.9 0.0.1", "17.0.0"},
        {"<16", "15.9.9", "16.0.0"},
        {">=16 <19", "16.0.0 18.9.9", "19.0.0 15.0.0"},
        {">=16<19", "18.9.9", "19.0.0"},
        {"^18.2.3", "18.2.3 18.99.0", "18.2.2 19.0.0"},
        {"^18", "18.0.0 18.9.9", "19.0.0"},
        {"^0.2.3", "0.2.3 0.2.9", "0.3.0"},
        {"^0.0.3", "0.0.3", "0.0.4"},
        {"^0.0", "0.0.0 0.0.9", "0.1.0"},
        {"^0", "0.0.0 0.9.9", "1.0.0"},
        {"~18.2.3", "18.2.3 18.2.9", "18.3.0"},
        {"~18", "18.9.9", "19.0.0"},
        {"~1.2", "1.2.9", "1.3.0"},
        {"16 || 18", "16.1.0 18.1.0", "17.0.0"},
        {"16.x || >=18.1 <20", "16.9.9 19.9.9", "18.0.9 20.0.0"},
        {"16.1.0 - 18", "16.1.0 18.9.9", "16.0.9 19.0.0"},
        {"16 - 18.2.1", "18.2.1", "18.2.2"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (int should = 0; should < 2; should++) {
            struct str rest = str_of(should ? cases[i].in : cases[i].out);
            while (rest.ptr) {
                struct str word = str_cut(&rest, ' ');
                struct semver v;
                struct err err;
                bool matches;
                if (!word.len)
                    continue;
                assert_int_equal(semver_parse(word, &v, &err), 0);
                if (semver_in_range(v, str_of(cases[i].range), &matches, &err) < 0)
                    fail_msg("'%s': %s", cases[i].range, err.msg);
                if (matches != (bool)should)
                    fail_msg("%.*s in '%s' should be %d", (int)word.len, word.ptr, cases[i].range,
                             should);
            }
        }
}

static void ranges_of_python_match_as_pep_440_and_poetry_have_them(void **state)
{
    (void)state;
    const struct {
        const char *range, *in, *out;
    } cases[] = {
        {">=3.12", "3.12.0 3.13.5", "3.11.9"},
        {">=3.11.5", "3.11.5 3.13.0", "3.11.2"},
        {"<3.13", "3.12.9", "3.13.0"},
        {"<=3.13", "3.13.0 3.12.9", "3.13.5"},
        {">3.12", "3.12.1 3.13.0", "3.12.0"},
        {"==3.11.*", "3.11.0 3.11.9", "3.12.0"},
        {"==3.11.2", "3.11.2", "3.11.3"},
        {"==3.*", "3.13.5", "4.0.0"},
        {"!=3.12.*", "3.11.1 3.13.0", "3.12.4"},
        {"~=3.11", "3.11.0 3.13.5", "4.0.0 3.10.0"},
        {"~=3.11.1", "3.11.2", "3.12.0 3.11.0"},
        {">= 3.8 , < 3.12", "3.11.2", "3.12.0 3.7.0"},
        {">=3.8,<4.0", "3.13.5", "4.0.0"},
        {">=3.8,<3.14.0a0", "3.13.5", "3.14.0"},
        {"^3.12", "3.12.0 3.13.5", "3.11.2 4.0.0"},
        {"^3.12.1", "3.12.1", "3.12.0"},
        {"~3.12", "3.12.4", "3.13.0"},
        {"~3", "3.13.0", "4.0.0"},
        {"3.11", "3.11.2", "3.12.0"},
        {"3.11.*", "3.11.2", "3.12.0"},
        {"*", "2.7.18 3.13.5", ""},
        {"~2.7 || ^3.6", "2.7.18 3.13.5", "3.5.0"},
        {"", "3.13.5", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (int should = 0; should < 2; should++) {
            struct str rest = str_of(should ? cases[i].in : cases[i].out);
            while (rest.ptr) {
                struct str word = str_cut(&rest, ' ');
                struct semver v;
                bool matches = !should;
                if (!word.len)
                    continue;
                assert_int_equal(semver_parse(word, &v, NULL), 0);
                if (python_in_range(v, str_of(cases[i].range), &matches, NULL) < 0 ||
                    matches != (bool)should)
                    fail_msg("%.*s in '%s' should be %d", (int)word.len, word.ptr, cases[i].range,
                             should);
            }
        }
    const char *const bad[] = {"new", ">=", "<>3", ">=3,new", "3.11 - 3.12", "(3)"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        bool matches;
        if (python_in_range((struct semver){3, 11, 0}, str_of(bad[i]), &matches, NULL) !=
            -ERR_INVALID)
            fail_msg("'%s' was taken", bad[i]);
    }
}

static void what_is_no_range_is_refused(void **state)
{
    (void)state;
    const char *const bad[] = {"latest", "18 | 20", "1.2.3.4", "18-beta",    ">",
                               "^^1",    "1..2",    "lts/*",   "99999999999"};
    const struct semver v = {18, 0, 0};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        bool matches;
        if (semver_in_range(v, str_of(bad[i]), &matches, NULL) != -ERR_INVALID)
            fail_msg("'%s' was taken", bad[i]);
    }
    struct semver parsed;
    assert_int_equal(semver_parse(STR("18.0.0-rc.1"), &parsed, NULL), -ERR_INVALID);
    assert_int_equal(semver_parse(STR("18.0"), &parsed, NULL), -ERR_INVALID);
}

static void the_registry_has_the_newest_even_version(void **state)
{
    (void)state;
    const char *document =
        "{\"versions\":{"
        "\"18.1.0\":{\"dist\":{\"tarball\":\"u18\",\"integrity\":\"sha512-a\"}},"
        "\"20.9.0\":{\"dist\":{\"tarball\":\"u20\",\"integrity\":\"sha512-b\"}},"
        "\"20.10.0\":{\"dist\":{\"tarball\":\"u20.10\",\"integrity\":\"sha512-c\"}},"
        "\"20.11.0-rc.1\":{\"dist\":{\"tarball\":\"rc\",\"integrity\":\"sha512-d\"}},"
        "\"21.0.0\":{\"dist\":{\"tarball\":\"u21\",\"integrity\":\"sha512-e\"}}}}";
    struct registry_package p = {0};
    struct err err;
    assert_int_equal(registry_choose(str_of(document), ">=18", &p, &err), 0);
    assert_string_equal(p.version, "20.10.0");
    assert_string_equal(p.url, "u20.10");
    registry_package_release(&p);
    assert_int_equal(registry_choose(str_of(document), "21", &p, &err), 0);
    assert_string_equal(p.version, "21.0.0");
    registry_package_release(&p);
    assert_int_equal(registry_choose(str_of(document), "22", &p, &err), -ERR_NOT_FOUND);
    assert_non_null(strstr(err.msg, "'22'"));
    assert_int_equal(registry_choose(STR("<html>"), "22", &p, &err), -ERR_UNAVAILABLE);
}

/* --- package.json ---------------------------------------------------------------------------- */

static void package_json_says_what_is_needed(void **state)
{
    (void)state;
    const struct {
        const char *text, *engine;
        bool installs;
    } cases[] = {
        {"{}", NULL, false},
        {"{\"scripts\":{\"start\":\"node x\",\"test\":\"y\"}}", NULL, false},
        {"{\"dependencies\":{},\"engines\":{\"node\":\"20.x\"}}", "20.x", false},
        {"{\"dependencies\":{\"a\":\"1\"}}", NULL, true},
        {"{\"devDependencies\":{\"a\":\"1\"}}", NULL, true},
        {"{\"workspaces\":[\"x\"]}", NULL, true},
        {"{\"scripts\":{\"build\":\"make\"}}", NULL, true},
        {"{\"scripts\":{\"postinstall\":\"make\"}}", NULL, true},
        {"{\"dependencies\":7,\"scripts\":[],\"engines\":\"x\"}", NULL, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct node_package p = {0};
        assert_int_equal(node_package_parse(str_of(cases[i].text), &p, NULL), 0);
        if (cases[i].engine)
            assert_string_equal(p.engine, cases[i].engine);
        else
            assert_null(p.engine);
        if (p.installs != cases[i].installs)
            fail_msg("%s: installs is %d", cases[i].text, p.installs);
        node_package_release(&p);
    }
    struct err err;
    struct node_package p = {0};
    assert_int_equal(node_package_parse(STR("{\n \"a\": ,\n}"), &p, &err), -ERR_INVALID);
    assert_non_null(strstr(err.msg, "package.json, line 2, column"));
    assert_int_equal(node_package_parse(STR("[]"), &p, &err), -ERR_INVALID);
}

static void a_buildpack_is_told_what_package_json_says(void **state)
{
    (void)state;
    const struct {
        const char *text, *fact, *value; /* NULL: it isn't told */
    } cases[] = {
        {"{\"scripts\":{\"start\":\"node x\"}}", "node_start", "\"node x\""},
        {"{\"scripts\":{\"start\":\"a: \\\"b\\\"\"}}", "node_start", "\"a: \\\"b\\\"\""},
        {"{\"scripts\":{\"start\":\"node x\",\"prestart\":\"y\"}}", "node_start", "\"npm start\""},
        {"{\"scripts\":{\"start\":\"echo $npm_package_version\"}}", "node_start", "\"npm start\""},
        {"{\"scripts\":{}}", "node_start", NULL},
        {"{\"scripts\":{\"build\":\"x\"}}", "node_build", "build"},
        {"{\"scripts\":{\"build\":\"x\",\"heroku-postbuild\":\"y\"}}", "node_build",
         "heroku-postbuild"},
        {"{\"scripts\":{\"heroku-prebuild\":\"x\"}}", "node_prebuild", "yes"},
        {"{\"scripts\":{\"prepare\":\"x\"}}", "node_scripts", "yes"},
        {"{\"dependencies\":{\"a\":\"1\"}}", "node_scripts", NULL},
        {"{\"dependencies\":{\"a\":\"1\"}}", "node_installs", "yes"},
        {"{\"devDependencies\":{\"a\":\"1\"}}", "node_dev", "yes"},
        {"{\"cacheDirectories\":[\"a/b\",\"/etc\",\"../x\",\"node_modules\",\"c\\nd\",7,\"e\"]}",
         "node_caches", "a/b\ne\n"},
        {"{\"cacheDirectories\":[\"node_modules/\",\"./x//y/\",\"./node_modules\",\".\"]}",
         "node_caches", "x/y\n"},
        {"{\"cacheDirectories\":[\"a/../b\",\"/e\",\".\",7,\"c\\nd\",\"e\",\"node_modules\"]}",
         "node_caches_odd", "\"a/../b\"\n\"/e\"\n\".\"\n7\n\"c\\nd\"\n"},
        {"{\"cache_directories\":[\"a\"]}", "node_caches", "a\n"},
        {"{\"cacheDirectories\":[]}", "node_caches", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct node_package p = {0};
        assert_int_equal(node_package_parse(str_of(cases[i].text), &p, NULL), 0);
        const char *got = map_get(&p.facts, cases[i].fact);
        if (cases[i].value ? !got || !streq(got, cases[i].value) : got != NULL)
            fail_msg("%s: %s is %s", cases[i].text, cases[i].fact, got ? got : "not there");
        node_package_release(&p);
    }
}

static void npm_is_one_that_runs_on_the_apps_node(void **state)
{
    (void)state;
    const struct {
        struct semver node;
        const char *recipe;
    } cases[] = {
        {{4, 9, 1}, "tool-npm-5"},   {{6, 0, 0}, "tool-npm-6"},  {{14, 21, 3}, "tool-npm-6"},
        {{16, 20, 2}, "tool-npm-8"}, {{18, 0, 0}, "tool-npm-8"}, {{18, 17, 0}, "tool-npm"},
        {{19, 9, 0}, "tool-npm-8"},  {{20, 4, 0}, "tool-npm-8"}, {{20, 5, 0}, "tool-npm"},
        {{24, 1, 0}, "tool-npm"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct found f = {0};
        assert_string_equal(node_npm(cases[i].node), cases[i].recipe);
        assert_int_equal(find_recipe(cases[i].recipe, &f, NULL), 0);
        found_release(&f);
    }
}

/* The folder has the files `names`, one a word, each holding its own name. */
static char *folder_with(const char *names)
{
    char dir[] = "/tmp/davit-node.XXXXXX";
    assert_non_null(mkdtemp(dir));
    struct str rest = str_of(names);
    while (rest.ptr) {
        struct str name = str_cut(&rest, ' '), text = name;
        if (!name.len)
            continue;
        _cleanup_free_ char *path = xasprintf("%s/%.*s", dir, (int)name.len, name.ptr);
        if (str_eq(name, STR(".yarnrc.yml")))
            text = STR("yarnPath: .yarn/releases/yarn-3.8.7.cjs\n");
        char *plus = memchr(path, '+', strlen(path));
        if (plus) { /* yarn.lock+: of a Yarn since 2 */
            *plus = '\0';
            text = STR("__metadata:\n");
        }
        assert_int_equal(file_replace(path, text, 0644, NULL), 0);
    }
    return xstrdup(dir);
}

static void lockfiles_choose_the_package_manager(void **state)
{
    (void)state;
    const struct {
        const char *files, *manager, *recipe; /* NULL: an error */
    } cases[] = {
        {"", NULL, "tool-npm"},
        {"package-lock.json npm-shrinkwrap.json", NULL, "tool-npm"},
        {"package-lock.json", "npm@9.1.0", "tool-npm"},
        {"yarn.lock", NULL, "tool-yarn"},
        {"yarn.lock", "yarn@1.22.19+sha512.abc", "yarn-1.22.19"},
        {"yarn.lock+", "yarn@4.1.0", "berry-4.1.0"},
        {"yarn.lock+ .yarnrc.yml", "yarn@3.8.7", "tool-yarn"},
        {"yarn.lock+ .yarnrc.yml", NULL, "tool-yarn"},
        {"yarn.lock+", NULL, NULL},
        {"pnpm-lock.yaml", NULL, "tool-pnpm"},
        {"pnpm-lock.yaml", "pnpm@8.15.4", "pnpm-8.15.4"},
        {"pnpm-lock.yaml package-lock.json", NULL, NULL},
        {"pnpm-lock.yaml package-lock.json", "pnpm@9.0.0", "pnpm-9.0.0"},
        {"bun.lockb", NULL, NULL},
        {"", "bun@1.0.0", NULL},
        {"", "pnpm@latest", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct node_package p = {.manager = (char *)cases[i].manager};
        _cleanup_free_ char *dir = folder_with(cases[i].files), *recipe = NULL;
        struct err err = {0};
        int r = node_manager(dir, &p, &recipe, &err);
        if (cases[i].recipe ? r < 0 || !streq(recipe, cases[i].recipe) : r >= 0)
            fail_msg("%s, %s: %s", cases[i].files, cases[i].manager, r < 0 ? err.msg : recipe);
        dir_remove(dir, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_match_as_npm_has_them),
        cmocka_unit_test(what_is_no_range_is_refused),
        cmocka_unit_test(ranges_of_python_match_as_pep_440_and_poetry_have_them),
        cmocka_unit_test(the_registry_has_the_newest_even_version),
        cmocka_unit_test(package_json_says_what_is_needed),
        cmocka_unit_test(a_buildpack_is_told_what_package_json_says),
        cmocka_unit_test(npm_is_one_that_runs_on_the_apps_node),
        cmocka_unit_test(lockfiles_choose_the_package_manager),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
