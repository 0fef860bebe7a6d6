#include "http/body.h"

#include <stdarg.h>

/* Counted before parsing: the parser recurses. */
static bool too_deep(struct str text)
{
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '{' || c == '['))
            depth++;
        else if (!quoted && (c == '}' || c == ']'))
            depth--;
        if (depth > BODY_DEPTH_MAX)
            return true;
    }
    return false;
}

int body_object(struct str text, json_t **ret, struct err *err)
{
    json_error_t why;
    if (!str_trim(text).len)
        return err_set(err, ERR_INVALID, "the body is empty; a JSON object is needed");
    if (too_deep(text))
        return err_set(err, ERR_INVALID, "the body is nested deeper than %d levels",
                       BODY_DEPTH_MAX);
    json_t *j = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, &why);
    if (!j)
        return err_set(err, ERR_INVALID, "the body is not JSON: line %d, column %d: %s", why.line,
                       why.column, why.text);
    if (!json_is_object(j)) {
        json_decref(j);
        return err_set(err, ERR_INVALID, "the body must be a JSON object");
    }
    *ret = j;
    return 0;
}

int body_only(const json_t *body, struct err *err, const char *name, ...)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)body, key, value)
    {
        va_list ap;
        va_start(ap, name);
        bool known = false;
        for (const char *n = name; n && !known; n = va_arg(ap, const char *))
            known = streq(n, key);
        va_end(ap);
        if (!known)
            return err_set(err, ERR_INVALID, "there is no field '%.64s' here", key);
    }
    return 0;
}

int body_string(const json_t *body, const char *name, const char **ret, struct err *err)
{
    const json_t *v = json_object_get(body, name);
    if (!v)
        return err_set(err, ERR_INVALID, "field '%s' is missing; a string is needed", name);
    if (!json_is_string(v))
        return err_set(err, ERR_INVALID, "field '%s' must be a string", name);
    *ret = json_string_value(v);
    return 0;
}

int body_bool(const json_t *body, const char *name, bool *ret, struct err *err)
{
    const json_t *v = json_object_get(body, name);
    if (!json_is_boolean(v))
        return err_set(err, ERR_INVALID, "field '%s' must be true or false", name);
    *ret = json_is_true(v);
    return 0;
}

int body_int(const json_t *body, const char *name, int64_t min, int64_t max, int64_t otherwise,
             int64_t *ret, struct err *err)
{
    const json_t *v = json_object_get(body, name);
    if (v && (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max))
        return err_set(err, ERR_INVALID, "field '%s' must be a whole number from %lld to %lld",
                       name, (long long)min, (long long)max);
    *ret = v ? json_integer_value(v) : otherwise;
    return 0;
}
