#include "builder/recipe.h"

const struct suite suites[] = {{"trixie", ".trixie", {3, 13, 5}, {20, 19, 2}},
                               {"bookworm", ".bookworm", {3, 11, 2}, {18, 20, 4}}};

const size_t n_suites = ARRAY_LEN(suites);

/* What every suite has. A start command may name Python's tools, so they stand on the runtime. */
/* clang-format off */
#define OF_SUITE(dot, of, which) \
    {"stack-run" dot, NULL, "the run stack" of, \
     "ca-certificates netbase tzdata", .suite = which}, \
    {"stack-build" dot, "stack-run" dot, "the build stack" of, \
     "build-essential cmake meson ninja-build pkg-config git curl python3 file xz-utils unzip", \
     .suite = which}, \
    {"runtime-python-3" dot, "stack-run" dot, "the Python 3 runtime" of, \
     "python3 python3-pip-whl", .suite = which}, \
    {"compile-python-3" dot, "stack-build" dot, "the Python 3 compile layer" of, \
     "python3-pip python3-dev", .suite = which}, \
    {"tool-poetry" dot, "runtime-python-3" dot, "Poetry" of, \
     .pypi = "poetry>=2,<3 poetry-plugin-export>=1.9,<2", .suite = which}, \
    {"tool-uv" dot, "runtime-python-3" dot, "uv" of, .pypi = "uv", .suite = which}, \
    {"tool-pipenv" dot, "runtime-python-3" dot, "Pipenv" of, .pypi = "pipenv", .suite = which}, \
    {"compile-go" dot, "stack-build" dot, "the Go compile layer" of, \
     "golang-go", .backports = true, .suite = which}, \
    {"runtime-nginx" dot, "stack-run" dot, "the nginx runtime" of, "nginx-light", .suite = which}
/* clang-format on */

const struct recipe recipes[] = {
    OF_SUITE("", "", NULL),
    OF_SUITE(".trixie", " of Debian 13", "trixie"),
    OF_SUITE(".bookworm", " of Debian 12", "bookworm"),
    {"runtime-nodejs-18", "stack-run", "the Node.js runtime", "nodejs"},
    {"compile-nodejs-18", "stack-build", "the Node.js compile layer", "nodejs libnode-dev"},
    /* Older ones let a step mount what it likes: CVE-2024-1753, -9407, -9675, -11218. */
    {"tool-buildah", "stack-run.trixie", "the Dockerfile builder", "buildah crun netavark",
     .suite = "trixie"},
    {"tool-npm", NULL, "npm", NULL, "npm@10"},
    {"tool-npm-8", NULL, "npm 8", NULL, "npm@8"},
    {"tool-npm-6", NULL, "npm 6", NULL, "npm@6"},
    {"tool-npm-5", NULL, "npm 5", NULL, "npm@5"},
    {"tool-pnpm", NULL, "pnpm", NULL, "pnpm@9"},
    {"tool-yarn", NULL, "Yarn", NULL, "yarn@1"},
};

const size_t n_recipes = ARRAY_LEN(recipes);

const struct suite *suite_named(const char *name)
{
    for (size_t i = 0; i < n_suites; i++)
        if (streq(suites[i].name, name))
            return &suites[i];
    return NULL;
}

void found_release(struct found *f)
{
    free(f->title);
    free(f->npm);
}

static const struct {
    const char *stem, *package, *title;
} versioned[] = {{"node-", NODE_PACKAGE, "the runtime of Node.js"},
                 {"pnpm-", "pnpm", "pnpm"},
                 {"yarn-", "yarn", "Yarn"},
                 {"berry-", "@yarnpkg/cli-dist", "Yarn"}};

int find_recipe(const char *name, struct found *ret, struct err *err)
{
    struct semver v;
    for (size_t i = 0; i < n_recipes; i++)
        if (streq(recipes[i].name, name)) {
            *ret = (struct found){.recipe = recipes[i]};
            return 0;
        }
    for (size_t i = 0; i < ARRAY_LEN(versioned); i++) {
        const char *version = name + strlen(versioned[i].stem);
        if (!str_starts(str_of(name), str_of(versioned[i].stem)) ||
            semver_parse(str_of(version), &v, NULL) < 0)
            continue;
        ret->title = xasprintf("%s %s", versioned[i].title, version);
        ret->npm = xasprintf("%s@%s", versioned[i].package, version);
        ret->recipe = (struct recipe){.name = name, .title = ret->title, .npm = ret->npm};
        return 0;
    }
    return err_set(err, ERR_NOT_FOUND, "there is no stack or runtime '%s'", name);
}

const char *recipe_suite(const struct config *c, const struct recipe *r)
{
    return r->suite ? r->suite : c->debian_suite;
}

char *recipe_label(const struct config *c, const struct recipe *r)
{
    if (r->npm)
        return xasprintf("davit.recipe=3 npm %s", r->npm);
    if (r->pypi)
        return xasprintf("davit.recipe=3 pypi %s", r->pypi);
    return xasprintf("davit.recipe=3 %s %s%s %s", c->debian_mirror, recipe_suite(c, r),
                     r->backports ? "-backports" : "", r->packages);
}
