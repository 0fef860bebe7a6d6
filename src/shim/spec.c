#include "shim/spec.h"

struct text_field {
    const char *name;
    size_t offset;
    bool required;
};

struct number_field {
    const char *name;
    size_t offset;
    uint64_t standard, min, max;
};

#define IGNORE(...)
#define TEXT(name, required) {#name, offsetof(struct spec, name), required},
static const struct text_field texts[] = {SPEC_FIELDS(TEXT, IGNORE)};
#undef TEXT
#define NUMBER(name, standard, min, max) {#name, offsetof(struct spec, name), standard, min, max},
static const struct number_field numbers[] = {SPEC_FIELDS(IGNORE, NUMBER)};
#undef NUMBER

static char **text_at(struct spec *s, const struct text_field *f)
{
    return (char **)((char *)s + f->offset);
}

static uint64_t *number_at(struct spec *s, const struct number_field *f)
{
    return (uint64_t *)((char *)s + f->offset);
}

void spec_release(struct spec *s)
{
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        free(*text_at(s, &texts[i]));
    strv_release(&s->layers);
    *s = (struct spec){0};
}

static int set_restart(struct spec *s, struct str value, struct err *err)
{
    s->restart = str_eq(value, STR("always"));
    if (!s->restart && !str_eq(value, STR("no")))
        return err_set(err, ERR_INVALID, "restart must be \"always\" or \"no\"");
    return 0;
}

static int set(struct spec *s, struct str name, struct str value, struct err *err)
{
    if (!value.len || memchr(value.ptr, '\0', value.len))
        return err_set(err, ERR_INVALID, "\"%.*s\" needs a value", (int)MIN(name.len, 64),
                       name.ptr);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (str_eq(name, str_of(texts[i].name))) {
            char **at = text_at(s, &texts[i]);
            free(*at);
            *at = xstrndup(value.ptr, value.len);
            return 0;
        }
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (str_eq(name, str_of(numbers[i].name))) {
            const struct number_field *f = &numbers[i];
            return str_to_u64(value, f->min, f->max, number_at(s, f), err) < 0
                       ? err_wrap(err, "%s", f->name)
                       : 0;
        }
    if (str_eq(name, STR("restart")))
        return set_restart(s, value, err);
    if (!str_eq(name, STR("layer")))
        return err_set(err, ERR_INVALID, "unknown name \"%.*s\"", (int)MIN(name.len, 64), name.ptr);
    strv_take(&s->layers, xstrndup(value.ptr, value.len));
    return 0;
}

static int check(struct spec *s, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (texts[i].required && !*text_at(s, &texts[i]))
            return err_set(err, ERR_INVALID, "spec: \"%s\" is missing", texts[i].name);
    if (!s->layers.n)
        return err_set(err, ERR_INVALID, "spec: \"layer\" is missing");
    if (s->bridge && (!s->ip || !s->hostif))
        return err_set(err, ERR_INVALID, "spec: a bridge needs \"ip\" and \"hostif\"");
    return 0;
}

int spec_parse(struct str text, struct spec *ret, struct err *err)
{
    _cleanup_(spec_release) struct spec s = {.restart = true};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        *number_at(&s, &numbers[i]) = numbers[i].standard;
    for (unsigned line = 1; text.len; line++) {
        struct str value = str_cut(&text, '\n'), name = str_cut(&value, ' ');
        if (name.len && set(&s, name, value, err) < 0)
            return err_wrap(err, "spec, line %u", line);
    }
    int r = check(&s, err);
    if (r < 0)
        return r;
    *ret = s;
    s = (struct spec){0};
    return 0;
}
