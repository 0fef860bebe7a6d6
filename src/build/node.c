#include "build/node.h"

#include <jansson.h>

#include "build/tree.h"

void node_package_release(struct node_package *p)
{
    free(p->engine);
    *p = (struct node_package){0};
}

static bool has_any(const json_t *package, const char *field, const char *const *names)
{
    json_t *o = json_object_get(package, field);
    for (size_t i = 0; names[i]; i++)
        if (json_object_get(o, names[i]))
            return true;
    return false;
}

/* The scripts npm runs by itself, and those the buildpack has it run. */
static bool has_steps(const json_t *package)
{
    static const char *const steps[] = {
        "build",   "heroku-prebuild", "heroku-postbuild", "preinstall",
        "install", "postinstall",     "prepare",          NULL};
    return has_any(package, "scripts", steps);
}

static bool has_dependencies(const json_t *package)
{
    static const char *const fields[] = {"dependencies", "devDependencies", "optionalDependencies",
                                         "peerDependencies", "workspaces"};
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        json_t *v = json_object_get(package, fields[i]);
        if (json_object_size(v) || json_array_size(v))
            return true;
    }
    return false;
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
    *ret = (struct node_package){.engine = engine ? xstrdup(engine) : NULL,
                                 .installs = has_dependencies(package) || has_steps(package)};
    json_decref(package);
    return 0;
}

int node_package_read(const char *dir, struct node_package *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_CAP(PACKAGE_JSON_MAX);
    int r = tree_read(dir, "package.json", &text, err);
    return r < 0 ? r : node_package_parse(buf_str(&text), ret, err);
}
