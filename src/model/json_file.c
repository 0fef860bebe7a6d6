#include "model/json_file.h"

#include "base/words.h"

enum { KEYS_MAX = 32 };

/* Behind the comment that begins at `i`; `i` itself if it has no end. */
static size_t comment_end(const char *s, size_t n, size_t i)
{
    const char *end;
    if (s[i + 1] == '/') {
        end = memchr(s + i, '\n', n - i);
        return end ? (size_t)(end - s) : n;
    }
    end = memmem(s + i + 2, n - i - 2, "*/", 2);
    return end ? (size_t)(end - s) + 2 : i;
}

static size_t string_end(const char *s, size_t n, size_t i)
{
    for (i++; i < n && s[i] != '"'; i++)
        i += s[i] == '\\';
    return MIN(i, n - 1);
}

static void blank(char *s, size_t from, size_t to)
{
    for (; from < to; from++)
        if (s[from] != '\n')
            s[from] = ' ';
}

/* Makes JSON of it by writing blanks over what is none: lines and columns stay what they were. */
static void standardize(char *s, size_t n)
{
    size_t last = n, before = n; /* the last two bytes that count; n: none yet */
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '/' && i + 1 < n && (s[i + 1] == '/' || s[i + 1] == '*')) {
            size_t end = comment_end(s, n, i);
            if (end == i)
                return;
            blank(s, i, end);
            i = end - 1;
            continue;
        }
        if (strchr(" \t\r\n", s[i]))
            continue;
        if (last < n && s[last] == ',' && before < n && !strchr("{[,:", s[before]) &&
            (s[i] == '}' || s[i] == ']'))
            s[last] = ' ';
        if (s[i] == '"')
            i = string_end(s, n, i);
        before = last;
        last = i;
    }
}

int json_file_parse(const char *file, struct str text, size_t max, json_t **ret, struct err *err)
{
    json_error_t e;
    if (text.len > max)
        return err_set(err, ERR_TOO_LARGE, "%s is larger than %zu KiB", file, max / 1024);
    if (text.len && memchr(text.ptr, '\0', text.len))
        return err_set(err, ERR_INVALID, "%s: a NUL byte is not allowed", file);
    _cleanup_free_ char *copy = xstrndup(text.len ? text.ptr : "", text.len);
    standardize(copy, text.len);
    bool nothing = !str_trim(str_of(copy)).len;
    json_t *root = nothing ? json_object() : json_loadb(copy, text.len, JSON_REJECT_DUPLICATES, &e);
    if (!root)
        return err_set(err, ERR_INVALID, "%s, line %d, column %d: %s", file, e.line,
                       MAX(e.column, 1), e.text);
    if (!json_is_object(root)) {
        json_decref(root);
        return err_set(err, ERR_INVALID, "%s, line 1, column 1: an object is needed", file);
    }
    *ret = root;
    return 0;
}

static void warn_of_key(const char *file, const char *path, const char *name,
                        const struct json_key *keys, struct strv *warnings)
{
    const char *names[KEYS_MAX];
    size_t n = 0;
    const char *dot = *path ? "." : "";
    for (; n < KEYS_MAX && keys[n].name; n++) {
        names[n] = keys[n].name;
        if (!streq(name, keys[n].name))
            continue;
        if (keys[n].instead)
            strv_addf(warnings, "%s: '%s%s%s' changes nothing here: %s", file, path, dot, name,
                      keys[n].instead);
        return;
    }
    const char *meant = nearest(name, names, n);
    if (meant)
        strv_addf(warnings, "%s: there is no '%s%s%.80s', it is ignored. Did you mean '%s'?", file,
                  path, dot, name, meant);
    else
        strv_addf(warnings, "%s: there is no '%s%s%.80s', it is ignored", file, path, dot, name);
}

void json_file_keys(const char *file, const char *path, const json_t *o,
                    const struct json_key *keys, struct strv *warnings)
{
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)o, name, v) warn_of_key(file, path, name, keys, warnings);
}
