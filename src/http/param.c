#include "http/param.h"

const struct param *param_find(const struct param *list, const char *name)
{
    for (; list && list->name; list++)
        if (list->any || streq(list->name, name))
            return list;
    return NULL;
}

static int check_printable(const char *text, size_t max, struct err *err)
{
    size_t n = strlen(text);
    if (max && n > max)
        return err_set(err, ERR_INVALID, "it is longer than %zu bytes", max);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 127)
            return err_set(err, ERR_INVALID, "it has a control character");
    return 0;
}

static int check_choice(const char *const *choices, const char *text, struct err *err)
{
    _cleanup_(buf_release) struct buf known = BUF_INIT;
    for (size_t i = 0; choices[i]; i++) {
        if (streq(choices[i], text))
            return 0;
        buf_addf(&known, "%s%s", !i ? "" : choices[i + 1] ? ", " : " and ", choices[i]);
    }
    return err_set(err, ERR_INVALID, "there is no '%.40s', only %s", text, known.ptr);
}

static int check_text(const struct param *p, const char *text, struct err *err)
{
    if (p->choices)
        return check_choice(p->choices, text, err);
    if (!p->kind)
        return 0;
    return p->kind->check ? p->kind->check(text, err) : check_printable(text, p->kind->max, err);
}

int param_check_text(const struct param *p, const char *text, struct err *err)
{
    uint64_t n;
    return p->type == PARAM_NUMBER
               ? str_to_u64(str_of(text), (uint64_t)p->min, (uint64_t)p->max, &n, err)
               : check_text(p, text, err);
}

/* 3.0 is a whole number, too (JSON Schema 2020-12, validation, §6.1.1). */
static bool is_whole(const json_t *v, double min, double max)
{
    double n = json_number_value(v);
    return json_is_number(v) && n >= min && n <= max && n == (double)(int64_t)n;
}

static int check_value(const struct param *p, const json_t *v, struct err *err)
{
    if (p->nullable && json_is_null(v))
        return 0;
    switch (p->type) {
    case PARAM_TEXT:
        if (!json_is_string(v))
            return err_set(err, ERR_INVALID, "a string%s is needed", p->nullable ? " or null" : "");
        return check_text(p, json_string_value(v), err);
    case PARAM_NUMBER:
        if (is_whole(v, (double)p->min, (double)p->max))
            return 0;
        return err_set(err, ERR_INVALID, "a whole number from %lld to %lld is needed",
                       (long long)p->min, (long long)p->max);
    case PARAM_FLAG: break;
    }
    return json_is_boolean(v) ? 0 : err_set(err, ERR_INVALID, "true or false is needed");
}

static int check_field(const struct param *fields, const char *name, const json_t *value,
                       struct err *err)
{
    const struct param *p = param_find(fields, name);
    if (!p)
        return err_set(err, ERR_INVALID, "there is no field '%.64s' here", name);
    if (p->any && p->names->check && p->names->check(name, err) < 0)
        return -(int)err->code;
    return check_value(p, value, err) < 0 ? err_wrap(err, "%.64s", name) : 0;
}

int param_check_body(const struct param *fields, const json_t *body, struct err *err)
{
    const char *name;
    json_t *value;
    int r;
    json_object_foreach((json_t *)body, name, value)
    {
        if ((r = check_field(fields, name, value, err)) < 0)
            return r;
    }
    for (const struct param *p = fields; p && p->name; p++) {
        if (p->any && !json_object_size(body))
            return err_set(err, ERR_INVALID, "the body names no %s", p->name);
        if (p->required && !json_object_get(body, p->name))
            return err_set(err, ERR_INVALID, "field '%s' is missing", p->name);
    }
    return 0;
}
