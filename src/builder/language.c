#include "builder/language.h"

#include "builder/node.h"
#include "builder/python.h"
#include "builder/tree.h"

static const struct language languages[] = {
    {"nodejs", "Node.js", "package.json"},
    {"python", "Python",
     "requirements.txt pyproject.toml setup.py Pipfile Pipfile.lock poetry.lock uv.lock"},
    {"go", "Go", "go.mod"},
    {"c", "C", "CMakeLists.txt meson.build Makefile makefile GNUmakefile"},
    {"static", "Static site", "static.json index.html public/index.html"},
};

static bool has_marker(const struct language *l, const char *dir)
{
    struct str rest = str_of(l->markers);
    while (rest.ptr) {
        struct str word = str_cut(&rest, ' ');
        _cleanup_free_ char *path = xstrndup(word.ptr, word.len);
        if (tree_has_file(dir, path))
            return true;
    }
    return false;
}

const struct language *language_detect(const char *dir)
{
    for (size_t i = 0; i < ARRAY_LEN(languages); i++)
        if (has_marker(&languages[i], dir))
            return &languages[i];
    return NULL;
}

const struct language *language_named(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(languages); i++)
        if (streq(languages[i].name, name))
            return &languages[i];
    return NULL;
}

void language_list(struct buf *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(languages); i++)
        buf_addf(ret, "%s%s: %s", i ? "\n" : "", languages[i].title, languages[i].markers);
}

void needs_release(struct needs *n)
{
    free(n->run);
    free(n->compile);
    free(n->node);
    strv_release(&n->tools);
    strv_release(&n->ignored);
    map_release(&n->facts);
    *n = (struct needs){0};
}

static int set_needs(const struct base *base, const char *run, const char *compile,
                     struct needs *ret)
{
    ret->run = xasprintf("%s%s", run, base->dot);
    ret->compile = xasprintf("%s%s", compile, base->dot);
    return 0;
}

/* npm always comes with node; another package manager is a tool beside it. */
static int node_tools(const char *dir, struct node_package *p, struct needs *ret, struct err *err)
{
    _cleanup_free_ char *recipe = NULL;
    int r = 0;
    ret->npm = true;
    if ((r = node_manager(dir, p, &recipe, p->installs ? err : NULL)) < 0 && p->installs)
        return r;
    const char *manager = !recipe || streq(recipe, "tool-npm") ? "npm"
                          : strstr(recipe, "pnpm")             ? "pnpm"
                                                               : "yarn";
    /* Yarn since version 2 starts nothing in a project that it hasn't installed. */
    if (recipe && str_starts(str_of(recipe), STR("berry-")))
        map_set(&p->facts, "node_installs", "yes");
    ret->installs = p->installs = map_get(&p->facts, "node_installs");
    map_set(&p->facts, "node_manager", manager);
    if (!streq(manager, "npm"))
        strv_take(&ret->tools, TAKE_PTR(recipe));
    return 0;
}

static int node_needs(const char *dir, const struct base *base, struct needs *ret, struct err *err)
{
    _cleanup_(node_package_release) struct node_package p = {0};
    bool debians = true;
    int r = node_package_read(dir, &p, err);
    if (!r && p.engine)
        r = semver_in_range(base->node, str_of(p.engine), &debians, err);
    if (r < 0)
        return err_wrap(err, "package.json");
    if ((r = node_tools(dir, &p, ret, err)) < 0)
        return r;
    ret->facts = p.facts;
    p.facts = (struct map){0};
    /* Nothing to install or to build: no compilers are needed. */
    if (debians && !*base->dot)
        return set_needs(base, "runtime-nodejs-18",
                         p.installs ? "compile-nodejs-18" : "runtime-nodejs-18", ret);
    ret->node = p.engine ? TAKE_PTR(p.engine) : xasprintf("%lld", (long long)base->node.major);
    return set_needs(base, "stack-run", p.installs ? "stack-build" : "stack-run", ret);
}

static int python_needs(const char *dir, const struct base *base, struct needs *ret,
                        struct err *err)
{
    const char *installer, *by;
    int r = python_installer(dir, &installer, &by, &ret->ignored, err);
    if (r < 0)
        return r;
    map_set(&ret->facts, "python_installer", installer);
    map_set(&ret->facts, "python_by", by);
    if (streq(installer, "poetry") || streq(installer, "uv") || streq(installer, "pipenv"))
        strv_addf(&ret->tools, "tool-%s%s", installer, base->dot);
    return set_needs(base, "runtime-python-3", *installer ? "compile-python-3" : "runtime-python-3",
                     ret);
}

int language_needs(const struct language *l, const char *dir, const struct base *base,
                   struct needs *ret, struct err *err)
{
    if (l && streq(l->name, "nodejs"))
        return node_needs(dir, base, ret, err);
    if (l && streq(l->name, "python"))
        return python_needs(dir, base, ret, err);
    if (l && streq(l->name, "go"))
        return set_needs(base, "stack-run", "compile-go", ret);
    if (l && streq(l->name, "static"))
        return set_needs(base, "runtime-nginx", "stack-run", ret);
    return set_needs(base, "stack-run", "stack-build", ret);
}

bool language_runs_nothing(const struct language *l, const char *dir)
{
    _cleanup_(node_package_release) struct node_package p = {0};
    if (!streq(l->name, "nodejs"))
        return streq(l->name, "python") || streq(l->name, "c");
    return node_package_read(dir, &p, NULL) == 0 && !map_get(&p.facts, "node_start") &&
           !map_get(&p.facts, "node_scripts") && !tree_has_file(dir, "server.js");
}
