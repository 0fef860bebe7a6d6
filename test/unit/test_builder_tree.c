/* What a build reads from folders that others filled, and what it remembers of them. */
#include "cm.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "builder/language.h"
#include "builder/python.h"
#include "builder/record.h"
#include "builder/tree.h"
#include "os/file.h"
#include "os/spawn.h"

struct scene {
    char *dir;
};

static int setup(void **state)
{
    char name[] = "/tmp/test-tree.XXXXXX";
    struct scene *s = xcalloc(1, sizeof(*s));
    assert_non_null(mkdtemp(name));
    s->dir = xstrdup(name);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;
    dir_remove(s->dir, NULL);
    free(s->dir);
    free(s);
    return 0;
}

static void put(const struct scene *s, const char *name, const char *text)
{
    _cleanup_free_ char *path = path_join(s->dir, "%s", name);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    assert_int_equal(dir_make(path, 0755, NULL), 0);
    *slash = '/';
    assert_int_equal(file_replace(path, str_of(text), 0644, NULL), 0);
}

static void link_to(const struct scene *s, const char *target, const char *name)
{
    _cleanup_free_ char *path = path_join(s->dir, "%s", name);
    assert_int_equal(symlink(target, path), 0);
}

static void nothing_outside_is_read(void **state)
{
    struct scene *s = *state;
    struct err err;
    put(s, "inside", "text");
    link_to(s, "inside", "near");
    link_to(s, "/etc/passwd", "far");
    link_to(s, "../../../../etc/passwd", "up");
    _cleanup_free_ char *pipe = path_join(s->dir, "pipe");
    assert_int_equal(mkfifo(pipe, 0600), 0);
    _cleanup_(buf_release) struct buf b = BUF_CAP(100);
    assert_int_equal(tree_read(s->dir, "near", &b, NULL), 0);
    assert_string_equal(b.ptr, "text");
    assert_int_equal(tree_read(s->dir, "far", &b, &err), -ERR_INVALID);
    assert_non_null(strstr(err.msg, "leads out"));
    assert_int_equal(tree_read(s->dir, "up", &b, NULL), -ERR_INVALID);
    assert_int_equal(tree_read(s->dir, "../x", &b, NULL), -ERR_INVALID);
    assert_int_equal(tree_read(s->dir, "pipe", &b, NULL), -ERR_INVALID); /* and does not hang */
    assert_int_equal(tree_read(s->dir, "none", &b, NULL), -ERR_NOT_FOUND);
    assert_false(tree_has_file(s->dir, "far"));
    assert_true(tree_has_file(s->dir, "near"));
    put(s, "large", "0123456789");
    _cleanup_(buf_release) struct buf small = BUF_CAP(5);
    assert_int_equal(tree_read(s->dir, "large", &small, NULL), -ERR_TOO_LARGE);
}

static void digest(const struct scene *s, const char *path, char *ret)
{
    struct err err;
    if (tree_hash(s->dir, path, ret, &err) < 0)
        fail_msg("%s: %s", path, err.msg);
}

static void digests_tell_every_change(void **state)
{
    struct scene *s = *state;
    char a[HASH_LEN + 1], b[HASH_LEN + 1];
    put(s, "d/x", "1");
    put(s, "d/y/z", "2");
    link_to(s, "/etc/passwd", "d/link");
    digest(s, "d", a);
    digest(s, "d", b);
    assert_string_equal(a, b);
    put(s, "d/y/z", "3");
    digest(s, "d", b);
    assert_string_not_equal(a, b);
    put(s, "d/y/z", "2");
    digest(s, "d", b);
    assert_string_equal(a, b);
    put(s, "d/y/new", "");
    digest(s, "d", b);
    assert_string_not_equal(a, b);
    digest(s, "none", b);
    assert_string_equal(b, "-");
    digest(s, "d/x", a);
    _cleanup_free_ char *x = path_join(s->dir, "d/x");
    assert_int_equal(chmod(x, 0755), 0);
    digest(s, "d/x", b);
    assert_string_not_equal(a, b);
    assert_int_equal(tree_hash(s->dir, "../etc", a, NULL), -ERR_INVALID);
    assert_int_equal(tree_hash(s->dir, "/etc/passwd", a, NULL), -ERR_INVALID);
}

static void depends(const char *const *lines, struct strv *ret)
{
    for (; *lines; lines++)
        strv_add(ret, *lines);
}

static void a_result_is_good_while_what_it_depends_on_is(void **state)
{
    struct scene *s = *state;
    struct record r = {0}, again = {0};
    struct map vars = {0};
    _cleanup_(strv_release) struct strv d = {0};
    put(s, "package.json", "{}");
    put(s, "server.js", "1");
    map_set(&vars, "TOKEN", "t");
    map_set(&vars, "OTHER", "o");
    depends((const char *const[]){"package.json", "package-lock.json", "$TOKEN", "$ABSENT",
                                  "?server.js", "?public", NULL},
            &d);
    assert_true(depends_digest(&d, s->dir, &vars, &r.depends));

    _cleanup_free_ char *path = path_join(s->dir, "record.json");
    r.title = xstrdup("Node.js");
    assert_int_equal(record_save(path, &r, NULL), 0);
    record_load(path, &again);
    assert_string_equal(again.title, "Node.js");
    assert_true(depends_unchanged(&again, s->dir, &vars));

    put(s, "server.js", "2");
    map_set(&vars, "OTHER", "x");
    assert_true(depends_unchanged(&again, s->dir, &vars));
    map_set(&vars, "TOKEN", "u");
    assert_false(depends_unchanged(&again, s->dir, &vars));
    map_set(&vars, "TOKEN", "t");
    map_set(&vars, "ABSENT", "");
    assert_false(depends_unchanged(&again, s->dir, &vars));
    map_unset(&vars, "ABSENT");
    put(s, "public/index.html", "");
    assert_false(depends_unchanged(&again, s->dir, &vars));
    _cleanup_free_ char *public = path_join(s->dir, "public");
    dir_remove(public, NULL);
    assert_true(depends_unchanged(&again, s->dir, &vars));
    put(s, "package-lock.json", "{}");
    assert_false(depends_unchanged(&again, s->dir, &vars));
    record_release(&r);
    record_release(&again);

    strv_add(&d, "../escape");
    struct map none = {0};
    assert_false(depends_digest(&d, s->dir, &vars, &none));
    map_release(&none);
    map_release(&vars);
}

static void all_variables_may_count(void **state)
{
    struct scene *s = *state;
    struct record r = {0};
    struct map vars = {0};
    _cleanup_(strv_release) struct strv d = {0};
    depends((const char *const[]){"$*", NULL}, &d);
    assert_true(depends_digest(&d, s->dir, &vars, &r.depends));
    assert_true(depends_unchanged(&r, s->dir, &vars));
    map_set(&vars, "A", "1");
    assert_false(depends_unchanged(&r, s->dir, &vars));
    record_release(&r);
    map_release(&vars);
}

static void a_broken_record_is_none(void **state)
{
    struct scene *s = *state;
    struct record r = {0};
    put(s, "record.json", "{\"names\": 7");
    _cleanup_free_ char *path = path_join(s->dir, "record.json");
    record_load(path, &r);
    assert_false(r.reusable);
    assert_null(r.source);
    record_release(&r);
}

/* The table here and each buildpack's own bin/detect have to agree. */
static void languages_are_detected_as_their_buildpacks_do(void **state)
{
    struct scene *s = *state;
    const char *const files[] = {
        "package.json", "requirements.txt",  "pyproject.toml", "setup.py",        "go.mod",
        "Pipfile",      "Pipfile.lock",      "poetry.lock",    "uv.lock",         "CMakeLists.txt",
        "meson.build",  "Makefile",          "makefile",       "GNUmakefile",     "static.json",
        "index.html",   "public/index.html", "README",         "src/package.json"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        dir_remove(s->dir, NULL);
        put(s, files[i], "");
        const struct language *l = language_detect(s->dir);
        const char *const names[] = {"nodejs", "python", "go", "c", "static"};
        for (size_t k = 0; k < ARRAY_LEN(names); k++) {
            _cleanup_free_ char *detect =
                xasprintf("%s/buildpacks/%s/bin/detect", DAVIT_SOURCE, names[k]);
            _cleanup_(buf_release) struct buf title = BUF_CAP(1000);
            const char *const argv[] = {detect, s->dir, NULL};
            bool accepts = spawn_run(argv, (struct str){0}, &title, NULL) == 0;
            if (accepts != (l && streq(l->name, names[k])))
                fail_msg("%s: %s's bin/detect says %d", files[i], names[k], accepts);
            if (accepts)
                assert_true(str_eq(str_trim(buf_str(&title)), str_of(l->title)));
        }
    }
}

static void the_first_language_counts(void **state)
{
    struct scene *s = *state;
    put(s, "Makefile", "");
    put(s, "index.html", "");
    assert_string_equal(language_detect(s->dir)->name, "c");
    put(s, "package.json", "{}");
    assert_string_equal(language_detect(s->dir)->name, "nodejs");
}

static const struct base home = {"", {18, 20, 4}}, other = {".trixie", {18, 20, 4}};

static void node_needs_no_more_than_it_must(void **state)
{
    struct scene *s = *state;
    const struct {
        const char *package, *run, *compile, *node;
        bool installs;
    } cases[] = {
        {"{}", "runtime-nodejs-18", "runtime-nodejs-18", NULL, false},
        {"{\"engines\":{\"node\":\">=16\"}}", "runtime-nodejs-18", "runtime-nodejs-18", NULL,
         false},
        {"{\"dependencies\":{\"a\":\"1\"}}", "runtime-nodejs-18", "compile-nodejs-18", NULL, true},
        {"{\"engines\":{\"node\":\"20.x\"}}", "stack-run", "stack-run", "20.x", false},
        {"{\"engines\":{\"node\":\"20\"},\"scripts\":{\"build\":\"x\"}}", "stack-run",
         "stack-build", "20", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_(needs_release) struct needs n = {0};
        put(s, "package.json", cases[i].package);
        assert_int_equal(language_needs(language_named("nodejs"), s->dir, &home, &n, NULL), 0);
        assert_string_equal(n.run, cases[i].run);
        assert_string_equal(n.compile, cases[i].compile);
        assert_true(n.npm && n.tools.n == 0); /* a start command may name npm */
        assert_int_equal(n.installs, cases[i].installs);
        assert_true(cases[i].node ? n.node && streq(n.node, cases[i].node) : !n.node);
    }
    struct err err;
    struct needs n = {0};
    put(s, "package.json", "{\"engines\":{\"node\":\"latest\"}}");
    assert_int_equal(language_needs(language_named("nodejs"), s->dir, &home, &n, &err),
                     -ERR_INVALID);
    assert_non_null(strstr(err.msg, "package.json"));
    needs_release(&n);
}

static void another_suite_has_no_node_of_debians(void **state)
{
    struct scene *s = *state;
    _cleanup_(needs_release) struct needs n = {0};
    put(s, "package.json", "{}");
    assert_int_equal(language_needs(language_named("nodejs"), s->dir, &other, &n, NULL), 0);
    assert_string_equal(n.run, "stack-run.trixie");
    assert_string_equal(n.node, "18");
}

static void python_needs_what_its_files_say(void **state)
{
    struct scene *s = *state;
    const struct {
        const char *files[3], *text, *installer, *compile, *tool;
        size_t ignored;
    } cases[] = {
        {{"requirements.txt"}, "# nothing\n\n", "", "runtime-python-3.trixie", NULL, 0},
        {{"requirements.txt"}, "flask\n", "pip", "compile-python-3.trixie", NULL, 0},
        {{"poetry.lock", "pyproject.toml"},
         "x",
         "poetry",
         "compile-python-3.trixie",
         "tool-poetry.trixie",
         0},
        {{"uv.lock", "pyproject.toml"}, "x", "uv", "compile-python-3.trixie", "tool-uv.trixie", 0},
        {{"Pipfile", "Pipfile.lock"},
         "x",
         "pipenv",
         "compile-python-3.trixie",
         "tool-pipenv.trixie",
         0},
        {{"pyproject.toml"}, "x", "project", "compile-python-3.trixie", NULL, 0},
        {{"setup.py"}, "x", "project", "compile-python-3.trixie", NULL, 0},
        {{"requirements.txt", "poetry.lock", "pyproject.toml"},
         "x",
         "pip",
         "compile-python-3.trixie",
         NULL,
         1},
        {{"uv.lock", "poetry.lock"},
         "x",
         "poetry",
         "compile-python-3.trixie",
         "tool-poetry.trixie",
         1},
        {{"Pipfile"}, "x", NULL, NULL, NULL, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_(needs_release) struct needs n = {0};
        struct err err = {0};
        dir_remove(s->dir, NULL);
        for (size_t k = 0; k < 3 && cases[i].files[k]; k++)
            put(s, cases[i].files[k], cases[i].text);
        int r = language_needs(language_named("python"), s->dir, &other, &n, &err);
        if (!cases[i].installer) {
            assert_int_equal(r, -ERR_UNPROCESSABLE);
            assert_non_null(strstr(err.hint, "pipenv lock"));
            continue;
        }
        assert_int_equal(r, 0);
        assert_string_equal(n.run, "runtime-python-3.trixie");
        assert_string_equal(n.compile, cases[i].compile);
        assert_string_equal(map_get(&n.facts, "python_installer"), cases[i].installer);
        assert_int_equal(n.ignored.n, cases[i].ignored);
        assert_int_equal(n.tools.n, cases[i].tool != NULL);
        if (cases[i].tool)
            assert_string_equal(n.tools.items[0], cases[i].tool);
    }
}

#define POETRY "[tool.poetry.dependencies]\n"
#define ONE_LINE                                                                                   \
    "# all in \"\"\" or '''\n[project]\ndescription = \"\"\"One \\\"line\"\"\"\nx = '''y'''\n"

static void files_choose_the_python(void **state)
{
    struct scene *s = *state;
    static const struct semver offered[] = {{3, 11, 2}, {3, 13, 5}};
    const struct {
        const char *file, *text;
        int minor; /* 0: refused; 1: it says nothing */
        const char *and, *more;
    } cases[] = {
        {".python-version", "3.11\n", 11},
        {".python-version", "# mine\n\n3.13.1\n", 13},
        {".python-version", "3\n", 13},
        {".python-version", "cpython-3.11.9", 11},
        {".python-version", ">=3.12", 13},
        {".python-version", "3.14", 0},
        {".python-version", "3.12.4", 0},
        {".python-version", "3.13t", 0},
        {".python-version", "pypy3.10-7.3", 0},
        {".python-version", "", 1},
        {"runtime.txt", "python-3.13.1", 13},
        {"runtime.txt", "python-3.11.9\n", 11},
        {"runtime.txt", "python-3.9.18", 0},
        {"pyproject.toml", "[project]\nname = 'x'\nrequires-python = \">=3.12\"\n", 13},
        {"pyproject.toml", "[project]\nrequires-python = '>=3.8,<3.12' # old\n", 11},
        {"pyproject.toml", "[project]\nrequires-python = '>=3.14'\n", 0},
        {"pyproject.toml", "[other]\nrequires-python = '>=3.14'\n", 1},
        {"pyproject.toml", "[project]\nx = \"\"\"\nrequires-python = '>=3.14'\n\"\"\"\n", 1},
        {"pyproject.toml", "[tool.poetry.dependencies]\npython = \"^3.12\"\nx='1'\n", 13},
        {"pyproject.toml", "[tool.poetry.dependencies]\npython = \"~3.12\"\n", 0},
        {"pyproject.toml", ONE_LINE "requires-python = \">=3.9,<3.12\"\n", 11},
        {"pyproject.toml", ONE_LINE "[tool.poetry.dependencies]\npython = '^3.12' # \"\"\"\n", 13},
        {"pyproject.toml", POETRY "python = {version = \"<3.12\", optional = false}\n", 11},
        {"pyproject.toml", POETRY "python.version = '<3.12'\n", 11},
        {"pyproject.toml", "[tool.poetry.dependencies.python]\nversion = '''<3.12'''\n", 11},
        {"pyproject.toml", POETRY "x = {python = '<3.12', version = '<3.12'}\n", 1},
        {"pyproject.toml", "[project]\nx = [\n['a'], # it's\n]\nrequires-python = '<3.12'\n", 11},
        {"pyproject.toml", "project = {\"requires-python\" = \"<3.12\"}\n", 11},
        {"pyproject.toml", "[project]\n# requires-python = '<3.12'\nx = 'a # b'\n", 1},
        {"pyproject.toml", "[project]\r\nx = '\\'\r\nrequires-python='<3.12'\r\n", 11},
        {"pyproject.toml", "[project]\nx = \"\n={={\n[project]\nrequires-python", 1},
        {"Pipfile", "[packages]\npython_version = \"3.9\"\n[requires]\npython_version = \"3.11\"\n",
         11},
        {"Pipfile", "[requires]\npython_version = \"3.14\"\n", 0},
        {".python-version", "3.11", 11, "pyproject.toml", "[project]\nrequires-python='>=3.11'\n"},
        {".python-version", "3.11", 0, "pyproject.toml", "[project]\nrequires-python='>=3.12'\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t got = 9;
        bool asked;
        struct err err = {0};
        dir_remove(s->dir, NULL);
        put(s, cases[i].file, cases[i].text);
        if (cases[i].and)
            put(s, cases[i].and, cases[i].more);
        int r = python_choose(s->dir, offered, 2, &got, &asked, &err);
        if (cases[i].minor == 0
                ? r != -ERR_UNPROCESSABLE || !strstr(err.msg, "3.11.2 and 3.13.5")
                : r || asked != (cases[i].minor > 1) ||
                      offered[got].minor != (cases[i].minor > 1 ? cases[i].minor : 13))
            fail_msg("%s: %s: %d, %zu: %s", cases[i].file, cases[i].text, r, got, err.msg);
    }
    struct err err;
    size_t got;
    bool asked;
    put(s, "pyproject.toml", "[project]\nrequires-python = 'new'\n");
    assert_int_equal(python_choose(s->dir, offered, 2, &got, &asked, &err), -ERR_INVALID);
    assert_non_null(strstr(err.msg, "pyproject.toml"));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(nothing_outside_is_read),
        TEST(digests_tell_every_change),
        TEST(a_result_is_good_while_what_it_depends_on_is),
        TEST(all_variables_may_count),
        TEST(a_broken_record_is_none),
        TEST(languages_are_detected_as_their_buildpacks_do),
        TEST(the_first_language_counts),
        TEST(node_needs_no_more_than_it_must),
        TEST(another_suite_has_no_node_of_debians),
        TEST(python_needs_what_its_files_say),
        TEST(files_choose_the_python),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
