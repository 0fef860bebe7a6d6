#include "build/recipe.h"

#include "build/semver.h"

const struct recipe recipes[] = {
    {"stack-run", NULL, "the run stack", "ca-certificates netbase tzdata"},
    {"stack-build", "stack-run", "the build stack",
     "build-essential cmake meson ninja-build pkg-config git curl python3 file xz-utils unzip"},
    {"runtime-nodejs-18", "stack-run", "the Node.js 18 runtime", "nodejs"},
    {"compile-nodejs-18", "stack-build", "the Node.js 18 compile layer", "nodejs libnode-dev"},
    {"runtime-python-3", "stack-run", "the Python 3 runtime", "python3 python3-pip-whl"},
    {"compile-python-3", "stack-build", "the Python 3 compile layer", "python3-pip python3-dev"},
    {"compile-go", "stack-build", "the Go compile layer", "golang-go", .backports = true},
    {"runtime-nginx", "stack-run", "the nginx runtime", "nginx-light"},
    {"stack-trixie", NULL, "the Debian 13 stack", "ca-certificates netbase tzdata",
     .suite = "trixie"},
    /* Older ones let a step mount what it likes: CVE-2024-1753, -9407, -9675, -11218. */
    {"tool-buildah", "stack-trixie", "the Dockerfile builder", "buildah crun netavark",
     .suite = "trixie"},
    {"tool-npm", NULL, "npm", NULL, "npm@10"},
    {"tool-npm-8", NULL, "npm 8", NULL, "npm@8"},
    {"tool-npm-6", NULL, "npm 6", NULL, "npm@6"},
    {"tool-npm-5", NULL, "npm 5", NULL, "npm@5"},
    {"tool-pnpm", NULL, "pnpm", NULL, "pnpm@9"},
    {"tool-yarn", NULL, "Yarn", NULL, "yarn@1"},
};

const size_t n_recipes = ARRAY_LEN(recipes);

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
    return xasprintf("davit.recipe=3 %s %s%s %s", c->debian_mirror, recipe_suite(c, r),
                     r->backports ? "-backports" : "", r->packages);
}
