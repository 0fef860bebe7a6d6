#include "http/body.h"

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
