#include "builder/node.h"

#include <jansson.h>

#include "builder/tree.h"

void node_package_release(struct node_package *p)
{
    free(p->engine);
    free(p->manager);
    map_release(&p->facts);
    *p = (struct node_package){0};
}

/* --- what is in it --------------------------------------------------------------------------- */

static const char *script(const json_t *package, const char *name)
{
    return json_string_value(json_object_get(json_object_get(package, "scripts"), name));
}

static bool has_script(const json_t *package, const char *const *names)
{
    for (size_t i = 0; names[i]; i++)
        if (script(package, names[i]))
            return true;
    return false;
}

static bool has_entries(const json_t *package, const char *field)
{
    json_t *v = json_object_get(package, field);
    return json_object_size(v) || json_array_size(v);
}

static bool has_dependencies(const json_t *package)
{
    static const char *const fields[] = {"dependencies", "devDependencies", "optionalDependencies",
                                         "peerDependencies", "workspaces"};
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (has_entries(package, fields[i]))
            return true;
    return false;
}

/* --- facts ----------------------------------------------------------------------------------- */

/* What starts the app. The script itself has no npm between it and its signals; but only npm runs
 * what belongs before and behind it, and knows its variables. */
static void add_start(const json_t *package, struct map *ret)
{
    static const char *const around[] = {"prestart", "poststart", NULL};
    const char *start = script(package, "start");
    if (!start || !*start)
        return;
    if (has_script(package, around) || strstr(start, "npm_"))
        start = "npm start";
    json_t *text = json_string(start);
    _cleanup_free_ char *quoted = json_dumps(text, JSON_ENCODE_ANY);
    json_decref(text);
    map_set(ret, "node_start", quoted);
}

/* The scripts npm runs by itself, and those the buildpack has it run. */
static bool add_steps(const json_t *package, struct map *ret)
{
    static const char *const itself[] = {"preinstall", "install", "postinstall", "prepare", NULL};
    static const char *const builds[] = {"heroku-postbuild", "build"};
    const char *build = NULL;
    for (size_t i = 0; i < ARRAY_LEN(builds) && !build; i++)
        build = script(package, builds[i]) ? builds[i] : NULL;
    bool prebuild = script(package, "heroku-prebuild");
    bool any = build || prebuild || has_script(package, itself);
    if (build)
        map_set(ret, "node_build", build);
    if (prebuild)
        map_set(ret, "node_prebuild", "yes");
    if (any)
        map_set(ret, "node_scripts", "yes");
    return any;
}

/* The path of a folder below the app's, the caller's; NULL if it is none. */
static char *cache_path(const json_t *folder)
{
    const char *text = json_string_value(folder);
    _cleanup_free_ char *path = text && *text != '/' ? tree_path(text) : NULL;
    return path && !streq(path, ".") ? TAKE_PTR(path) : NULL;
}

/* Heroku's rule: folders that the app wants kept from build to build. node_modules itself isn't:
 * it is installed anew, from the package manager's own cache. */
static void add_caches(const json_t *package, struct map *ret)
{
    _cleanup_(buf_release) struct buf list = BUF_CAP(PACKAGE_JSON_MAX), odd = list;
    json_t *folders = json_object_get(package, "cacheDirectories"), *folder;
    size_t i;
    if (!folders)
        folders = json_object_get(package, "cache_directories");
    json_array_foreach(folders, i, folder)
    {
        _cleanup_free_ char *path = cache_path(folder);
        _cleanup_free_ char *text = json_dumps(folder, JSON_ENCODE_ANY | JSON_COMPACT);
        if (!path)
            buf_addf(&odd, "%s\n", text);
        else if (!streq(path, "node_modules"))
            buf_addf(&list, "%s\n", path);
    }
    if (list.len)
        map_set(ret, "node_caches", list.ptr);
    if (odd.len)
        map_set(ret, "node_caches_odd", odd.ptr);
}

int node_package_parse(struct str text, struct node_package *ret, struct err *err)
{
    json_error_t e;
    json_t *package = json_loadb(text.ptr, text.len, 0, &e);
    if (!package)
        return err_set(err, ERR_INVALID, "package.json, line %d, column %d: %s", e.line, e.column,
                       e.text);
    if (!json_is_object(package)) {
        json_decref(package);
        return err_set(err, ERR_INVALID, "package.json, line 1, column 1: an object is needed");
    }
    const char *engine =
        json_string_value(json_object_get(json_object_get(package, "engines"), "node"));
    const char *manager = json_string_value(json_object_get(package, "packageManager"));
    *ret = (struct node_package){.engine = engine ? xstrdup(engine) : NULL,
                                 .manager = manager ? xstrdup(manager) : NULL};
    ret->installs = add_steps(package, &ret->facts) || has_dependencies(package);
    if (ret->installs)
        map_set(&ret->facts, "node_installs", "yes");
    if (has_entries(package, "devDependencies"))
        map_set(&ret->facts, "node_dev", "yes");
    add_start(package, &ret->facts);
    add_caches(package, &ret->facts);
    json_decref(package);
    return 0;
}

int node_package_read(const char *dir, struct node_package *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_CAP(PACKAGE_JSON_MAX);
    int r = tree_read(dir, "package.json", &text, err);
    if (!r)
        r = node_package_parse(buf_str(&text), ret, err);
    if (!r &&
        (tree_has_file(dir, "package-lock.json") || tree_has_file(dir, "npm-shrinkwrap.json")))
        map_set(&ret->facts, "node_locked", "yes");
    return r;
}

/* --- who installs it ------------------------------------------------------------------------- */

enum { LOCKFILE_MAX = 32 << 20 };

static const struct {
    const char *manager, *file;
} lockfiles[] = {{"npm", "package-lock.json"}, {"npm", "npm-shrinkwrap.json"},
                 {"yarn", "yarn.lock"},        {"pnpm", "pnpm-lock.yaml"},
                 {"bun", "bun.lock"},          {"bun", "bun.lockb"}};

static int by_lockfile(const char *dir, const char **ret, struct err *err)
{
    const char *found = NULL;
    for (size_t i = 0; i < ARRAY_LEN(lockfiles); i++) {
        if (!tree_has_file(dir, lockfiles[i].file))
            continue;
        if (found && !streq(*ret, lockfiles[i].manager)) {
            err_set(err, ERR_UNPROCESSABLE, "%s and %s: only one of them can count", found,
                    lockfiles[i].file);
            return err_hint(err,
                            "Remove one, or say which in package.json: "
                            "\"packageManager\": \"%s@VERSION\".",
                            *ret);
        }
        found = lockfiles[i].file;
        *ret = lockfiles[i].manager;
    }
    return 0;
}

static bool mentions(const char *dir, const char *file, const char *word)
{
    _cleanup_(buf_release) struct buf text = BUF_CAP(LOCKFILE_MAX);
    return tree_read(dir, file, &text, NULL) == 0 && text.len &&
           memmem(text.ptr, text.len, word, strlen(word));
}

/* Yarn is another package since version 2, its lockfile has another form, and each version rewrites
 * that of another. A project that brings its Yarn along has the classic one start it. */
static int yarn_kind(const char *dir, const struct semver *version, const char **ret,
                     struct err *err)
{
    bool brings = mentions(dir, ".yarnrc.yml", "yarnPath:");
    *ret = !brings && version && version->major >= 2 ? "berry" : "yarn";
    if (version || brings || !mentions(dir, "yarn.lock", "__metadata:"))
        return 0;
    err_set(err, ERR_UNPROCESSABLE, "yarn.lock does not tell which Yarn wrote it");
    return err_hint(
        err, "Say so in package.json: \"packageManager\": \"yarn@VERSION\" (yarn --version).");
}

/* "pnpm@8.15.4+sha256.…" → "pnpm" and the version, if there is one. */
static void take_apart(const char *text, char **ret_name, char **ret_version)
{
    struct str rest = str_of(text), name = str_cut(&rest, '@');
    struct str version = rest.ptr ? str_cut(&rest, '+') : (struct str){0};
    *ret_name = xstrndup(name.ptr, name.len);
    *ret_version = version.len ? xstrndup(version.ptr, version.len) : NULL;
}

static int unknown_manager(const char *name, struct err *err)
{
    err_set(err, ERR_UNPROCESSABLE, "the package manager %.50s can't be had here", name);
    return err_hint(err,
                    "npm, yarn and pnpm can, by their lockfiles; for others use a Dockerfile.");
}

int node_manager(const char *dir, const struct node_package *p, char **ret_recipe, struct err *err)
{
    _cleanup_free_ char *name = NULL, *version = NULL;
    const char *manager = "npm";
    struct semver v;
    int r = 0;
    if (p->manager)
        take_apart(p->manager, &name, &version);
    else
        r = by_lockfile(dir, &manager, err);
    if (r < 0)
        return r;
    if (version && semver_parse(str_of(version), &v, err) < 0)
        return err_wrap(err, "packageManager in package.json");
    manager = name ? name : manager;
    if (streq(manager, "yarn"))
        r = yarn_kind(dir, version ? &v : NULL, &manager, err);
    else if (!streq(manager, "npm") && !streq(manager, "pnpm"))
        r = unknown_manager(manager, err);
    if (r < 0)
        return r;
    bool exact = version && !streq(manager, "npm") && !(streq(manager, "yarn") && v.major >= 2);
    *ret_recipe = exact ? xasprintf("%s-%s", manager, version) : xasprintf("tool-%s", manager);
    return 0;
}

const char *node_npm(struct semver node)
{
    static const struct {
        struct semver before;
        const char *recipe;
    } newest[] = {{{6, 0, 0}, "tool-npm-5"},
                  {{15, 0, 0}, "tool-npm-6"},
                  {{18, 17, 0}, "tool-npm-8"},
                  {{19, 0, 0}, "tool-npm"},
                  {{20, 5, 0}, "tool-npm-8"}};
    for (size_t i = 0; i < ARRAY_LEN(newest); i++)
        if (semver_compare(node, newest[i].before) < 0)
            return newest[i].recipe;
    return "tool-npm";
}
