#include "builder/python.h"
#include "builder/tree.h"

enum { REQUIREMENTS_MAX = 1 << 20 };

/* As Heroku has it: the first that is there counts. */
static const struct {
    const char *file, *installer;
} ways[] = {{"Pipfile.lock", "pipenv"}, {"requirements.txt", "pip"},   {"poetry.lock", "poetry"},
            {"uv.lock", "uv"},          {"pyproject.toml", "project"}, {"setup.py", "project"}};

/* Only blank lines and comments. */
static bool asks_for_nothing(const char *dir, const char *file)
{
    _cleanup_(buf_release) struct buf text = BUF_CAP(REQUIREMENTS_MAX);
    if (tree_read(dir, file, &text, NULL) < 0)
        return false;
    struct str rest = buf_str(&text);
    while (rest.ptr) {
        struct str line = str_trim(str_cut(&rest, '\n'));
        if (line.len && line.ptr[0] != '#')
            return false;
    }
    return true;
}

int python_installer(const char *dir, const char **ret, const char **ret_by, struct strv *ignored,
                     struct err *err)
{
    size_t first = ARRAY_LEN(ways);
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        if (!tree_has_file(dir, ways[i].file))
            continue;
        if (first == ARRAY_LEN(ways))
            first = i;
        else if (!streq(ways[i].installer, "project"))
            strv_add(ignored, ways[i].file);
    }
    bool none = first == ARRAY_LEN(ways);
    if (tree_has_file(dir, "Pipfile") && (none || streq(ways[first].installer, "project"))) {
        err_set(err, ERR_UNPROCESSABLE, "there is a Pipfile, but no Pipfile.lock");
        return err_hint(err, "Make it with   pipenv lock   and commit it, too.");
    }
    *ret_by = none ? "" : ways[first].file;
    *ret = none ? "" : ways[first].installer;
    if (streq(*ret, "pip") && asks_for_nothing(dir, *ret_by))
        *ret = "";
    return 0;
}
