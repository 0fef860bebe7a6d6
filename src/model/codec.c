#include "model/codec.h"

#include "base/json.h"

#include <jansson.h>

#include "base/array.h"

enum { DEPTH_MAX = 32, DOCUMENT_MAX = 1 << 20 };

/* --- maps, counts and lists ----------------------------------------------------------------- */

static struct pair *map_find(const struct map *m, const char *name)
{
    for (size_t i = 0; i < m->n; i++)
        if (streq(m->items[i].name, name))
            return &m->items[i];
    return NULL;
}

const char *map_get(const struct map *m, const char *name)
{
    const struct pair *p = map_find(m, name);
    return p ? p->value : NULL;
}

void map_set(struct map *m, const char *name, const char *value)
{
    struct pair *p = map_find(m, name);
    if (p) {
        free(p->value);
        p->value = xstrdup(value);
        return;
    }
    *array_add(m->items, m->n) = (struct pair){xstrdup(name), xstrdup(value)};
}

bool map_unset(struct map *m, const char *name)
{
    struct pair *p = map_find(m, name);
    if (!p)
        return false;
    free(p->name);
    free(p->value);
    array_remove(m->items, m->n, (size_t)(p - m->items));
    return true;
}

void map_copy(struct map *ret, const struct map *from)
{
    for (size_t i = 0; i < from->n; i++)
        map_set(ret, from->items[i].name, from->items[i].value);
}

void map_release(struct map *m)
{
    for (size_t i = 0; i < m->n; i++) {
        free(m->items[i].name);
        free(m->items[i].value);
    }
    free(m->items);
    *m = (struct map){0};
}

int64_t counts_get(const struct counts *c, const char *name, int64_t otherwise)
{
    for (size_t i = 0; i < c->n; i++)
        if (streq(c->items[i].name, name))
            return c->items[i].n;
    return otherwise;
}

void counts_set(struct counts *c, const char *name, int64_t n)
{
    for (size_t i = 0; i < c->n; i++)
        if (streq(c->items[i].name, name)) {
            c->items[i].n = n;
            return;
        }
    *array_add(c->items, c->n) = (struct count){xstrdup(name), n};
}

void counts_release(struct counts *c)
{
    for (size_t i = 0; i < c->n; i++)
        free(c->items[i].name);
    free(c->items);
    *c = (struct counts){0};
}

void *list_add(struct list *l, size_t size)
{
    l->items = array_open(l->items, l->n, l->n, size);
    return memset((char *)l->items + l->n++ * size, 0, size);
}

/* --- decoding ------------------------------------------------------------------------------- */

/* Where we are, for messages: "processes[0].checks[1]" without allocating on the good path. */
struct where {
    const struct where *up;
    const char *name;
    size_t index;
};

static void where_text(const struct where *w, struct buf *ret)
{
    if (w->up) {
        where_text(w->up, ret);
        buf_addf(ret, "[%zu].", w->up->index);
    }
    buf_adds(ret, w->name);
}

static int wrong(const struct where *w, const char *needed, struct err *err)
{
    _cleanup_(buf_release) struct buf path = BUF_CAP(256);
    where_text(w, &path);
    return err_set(err, ERR_INVALID, "field '%s': %s", path.ptr, needed);
}

static int decode_object(const struct schema *s, json_t *object, const struct where *up, void *ret,
                         struct err *err);

static int decode_enum(const struct field *f, json_t *v, const struct where *w, int *ret,
                       struct err *err)
{
    const char *text = json_string_value(v);
    for (int i = 0; text && f->names[i]; i++)
        if (streq(f->names[i], text)) {
            *ret = i;
            return 0;
        }
    _cleanup_(buf_release) struct buf needed = BUF_CAP(512);
    buf_adds(&needed, "needs one of");
    for (int i = 0; f->names[i]; i++)
        buf_addf(&needed, " %s", f->names[i]);
    return wrong(w, needed.ptr, err);
}

static int decode_strv(json_t *v, const struct where *w, struct strv *ret, struct err *err)
{
    size_t i;
    json_t *item;
    if (!json_is_array(v))
        return wrong(w, "needs a list of texts", err);
    json_array_foreach(v, i, item)
    {
        if (!json_is_string(item))
            return wrong(w, "needs a list of texts", err);
        strv_add(ret, json_string_value(item));
    }
    return 0;
}

static int decode_map(json_t *v, const struct where *w, struct map *ret, struct err *err)
{
    const char *name;
    json_t *value;
    if (!json_is_object(v))
        return wrong(w, "needs an object of texts", err);
    json_object_foreach(v, name, value)
    {
        if (!json_is_string(value))
            return wrong(w, "needs an object of texts", err);
        map_set(ret, name, json_string_value(value));
    }
    return 0;
}

static int decode_counts(json_t *v, const struct where *w, struct counts *ret, struct err *err)
{
    const char *name;
    json_t *value;
    if (!json_is_object(v))
        return wrong(w, "needs an object of whole numbers", err);
    json_object_foreach(v, name, value)
    {
        if (!json_is_integer(value))
            return wrong(w, "needs an object of whole numbers", err);
        counts_set(ret, name, json_integer_value(value));
    }
    return 0;
}

static int decode_list(const struct field *f, json_t *v, struct where *w, struct list *ret,
                       struct err *err)
{
    json_t *item;
    if (!json_is_array(v))
        return wrong(w, "needs a list of objects", err);
    json_array_foreach(v, w->index, item)
    {
        if (!json_is_object(item))
            return wrong(w, "needs a list of objects", err);
        int r = decode_object(f->of, item, w, list_add(ret, f->of->size), err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int decode_field(const struct field *f, json_t *v, struct where *w, void *at,
                        struct err *err)
{
    switch (f->type) {
    case FIELD_STRING:
        if (!json_is_string(v))
            return wrong(w, "a text is needed", err);
        *(char **)at = xstrdup(json_string_value(v));
        return 0;
    case FIELD_INT:
        if (!json_is_integer(v))
            return wrong(w, "a whole number is needed", err);
        *(int64_t *)at = json_integer_value(v);
        return 0;
    case FIELD_BOOL:
        if (!json_is_boolean(v))
            return wrong(w, "true or false is needed", err);
        *(bool *)at = json_is_true(v);
        return 0;
    case FIELD_ENUM: return decode_enum(f, v, w, at, err);
    case FIELD_STRV: return decode_strv(v, w, at, err);
    case FIELD_MAP: return decode_map(v, w, at, err);
    case FIELD_COUNTS: return decode_counts(v, w, at, err);
    case FIELD_LIST: return decode_list(f, v, w, at, err);
    }
    return err_set(err, ERR_INTERNAL, "field of unknown type");
}

static int decode_object(const struct schema *s, json_t *object, const struct where *up, void *ret,
                         struct err *err)
{
    for (const struct field *f = s->fields; f->name; f++) {
        struct where w = {up, f->name, 0};
        json_t *v = json_object_get(object, f->name);
        if (!v || json_is_null(v)) {
            if (f->required)
                return wrong(&w, "is missing", err);
            continue;
        }
        int r = decode_field(f, v, &w, (char *)ret + f->offset, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* jansson recurses while parsing (up to 2048 levels): refuse what is deeper than we ever need
 * before. */
static bool too_deep(struct str json)
{
    int depth = 0;
    bool in_text = false;
    for (size_t i = 0; i < json.len; i++) {
        char c = json.ptr[i];
        if (in_text) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_text = false;
        } else if (c == '"') {
            in_text = true;
        } else if (c == '{' || c == '[') {
            if (++depth > DEPTH_MAX)
                return true;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return false;
}

int model_decode(const struct schema *s, struct str json, void *ret, struct err *err)
{
    json_error_t e;
    if (json.len > DOCUMENT_MAX)
        return err_set(err, ERR_TOO_LARGE, "%s: larger than 1 MiB", s->noun);
    if (too_deep(json))
        return err_set(err, ERR_INVALID, "%s: nested deeper than %d levels", s->noun, DEPTH_MAX);
    json_t *root = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, &e);
    if (!root)
        return err_set(err, ERR_INVALID, "%s: not JSON: line %d, column %d: %s", s->noun, e.line,
                       e.column, e.text);
    int r = json_is_object(root) ? decode_object(s, root, NULL, ret, err)
                                 : err_set(err, ERR_INVALID, "a JSON object is needed");
    json_decref(root);
    if (r < 0) {
        model_release(s, ret);
        err_wrap(err, "%s", s->noun);
    }
    return r;
}

/* --- encoding ------------------------------------------------------------------------------- */

static void encode_strv(const struct strv *v, struct buf *ret)
{
    for (size_t i = 0; i < v->n; i++) {
        buf_addc(ret, i ? ',' : '[');
        json_quote(ret, str_of(v->items[i]));
    }
    buf_addc(ret, ']');
}

static void encode_map(const struct map *m, struct buf *ret)
{
    for (size_t i = 0; i < m->n; i++) {
        buf_addc(ret, i ? ',' : '{');
        json_quote(ret, str_of(m->items[i].name));
        buf_addc(ret, ':');
        json_quote(ret, str_of(m->items[i].value));
    }
    buf_addc(ret, '}');
}

static void encode_counts(const struct counts *c, struct buf *ret)
{
    for (size_t i = 0; i < c->n; i++) {
        buf_addc(ret, i ? ',' : '{');
        json_quote(ret, str_of(c->items[i].name));
        buf_addf(ret, ":%lld", (long long)c->items[i].n);
    }
    buf_addc(ret, '}');
}

static void encode_list(const struct schema *of, const struct list *l, struct buf *ret)
{
    for (size_t i = 0; i < l->n; i++) {
        buf_addc(ret, i ? ',' : '[');
        model_encode(of, (const char *)l->items + i * of->size, ret);
    }
    buf_addc(ret, ']');
}

static bool is_empty(const struct field *f, const void *at)
{
    switch (f->type) {
    case FIELD_STRING: return !*(char *const *)at || !**(char *const *)at;
    case FIELD_INT: return !*(const int64_t *)at;
    case FIELD_BOOL: return !*(const bool *)at;
    case FIELD_ENUM: return false;
    case FIELD_STRV: return !((const struct strv *)at)->n;
    case FIELD_MAP: return !((const struct map *)at)->n;
    case FIELD_COUNTS: return !((const struct counts *)at)->n;
    case FIELD_LIST: return !((const struct list *)at)->n;
    }
    return true;
}

static void encode_empty(const struct field *f, struct buf *ret)
{
    static const char *const texts[] = {
        [FIELD_STRING] = "\"\"", [FIELD_INT] = "0",  [FIELD_BOOL] = "false", [FIELD_ENUM] = "\"\"",
        [FIELD_STRV] = "[]",     [FIELD_MAP] = "{}", [FIELD_COUNTS] = "{}",  [FIELD_LIST] = "[]",
    };
    buf_adds(ret, texts[f->type]);
}

static void encode_field(const struct field *f, const void *at, struct buf *ret)
{
    switch (f->type) {
    case FIELD_STRING: json_quote(ret, str_of(*(char *const *)at)); break;
    case FIELD_INT: buf_addf(ret, "%lld", (long long)*(const int64_t *)at); break;
    case FIELD_BOOL: buf_adds(ret, "true"); break;
    case FIELD_ENUM: json_quote(ret, str_of(f->names[*(const int *)at])); break;
    case FIELD_STRV: encode_strv(at, ret); break;
    case FIELD_MAP: encode_map(at, ret); break;
    case FIELD_COUNTS: encode_counts(at, ret); break;
    case FIELD_LIST: encode_list(f->of, at, ret); break;
    }
}

void model_encode(const struct schema *s, const void *value, struct buf *ret)
{
    bool first = true;
    buf_addc(ret, '{');
    for (const struct field *f = s->fields; f->name; f++) {
        const void *at = (const char *)value + f->offset;
        bool empty = is_empty(f, at);
        if (empty && !f->required)
            continue;
        if (!first)
            buf_addc(ret, ',');
        first = false;
        buf_addf(ret, "\"%s\":", f->name);
        if (empty)
            encode_empty(f, ret);
        else
            encode_field(f, at, ret);
    }
    buf_addc(ret, '}');
}

/* --- releasing, copying, comparing ---------------------------------------------------------- */

static void release_list(const struct schema *of, struct list *l)
{
    for (size_t i = 0; i < l->n; i++)
        model_release(of, (char *)l->items + i * of->size);
    free(l->items);
}

void model_release(const struct schema *s, void *value)
{
    for (const struct field *f = s->fields; f->name; f++) {
        void *at = (char *)value + f->offset;
        switch (f->type) {
        case FIELD_STRING: free(*(char **)at); break;
        case FIELD_STRV: strv_release(at); break;
        case FIELD_MAP: map_release(at); break;
        case FIELD_COUNTS: counts_release(at); break;
        case FIELD_LIST: release_list(f->of, at); break;
        case FIELD_INT:
        case FIELD_BOOL:
        case FIELD_ENUM: break;
        }
    }
    memset(value, 0, s->size);
}

static void copy_field(const struct field *f, const void *from, void *to)
{
    switch (f->type) {
    case FIELD_STRING:
        *(char **)to = *(char *const *)from ? xstrdup(*(char *const *)from) : NULL;
        break;
    case FIELD_INT: *(int64_t *)to = *(const int64_t *)from; break;
    case FIELD_BOOL: *(bool *)to = *(const bool *)from; break;
    case FIELD_ENUM: *(int *)to = *(const int *)from; break;
    case FIELD_STRV:
        for (size_t i = 0; i < ((const struct strv *)from)->n; i++)
            strv_add(to, ((const struct strv *)from)->items[i]);
        break;
    case FIELD_MAP: map_copy(to, from); break;
    case FIELD_COUNTS:
        for (size_t i = 0; i < ((const struct counts *)from)->n; i++)
            counts_set(to, ((const struct counts *)from)->items[i].name,
                       ((const struct counts *)from)->items[i].n);
        break;
    case FIELD_LIST:
        for (size_t i = 0; i < ((const struct list *)from)->n; i++)
            model_copy(f->of, (const char *)((const struct list *)from)->items + i * f->of->size,
                       list_add(to, f->of->size));
        break;
    }
}

void model_copy(const struct schema *s, const void *value, void *ret)
{
    memset(ret, 0, s->size);
    for (const struct field *f = s->fields; f->name; f++)
        copy_field(f, (const char *)value + f->offset, (char *)ret + f->offset);
}

bool model_equal(const struct schema *s, const void *a, const void *b)
{
    _cleanup_(buf_release) struct buf x = BUF_INIT, y = BUF_INIT;
    model_encode(s, a, &x);
    model_encode(s, b, &y);
    return str_eq(buf_str(&x), buf_str(&y));
}
