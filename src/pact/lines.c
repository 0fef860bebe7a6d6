#include "pact/lines.h"

static void *at(const struct line *l, const void *object) { return (char *)object + l->offset; }
static char **text_at(const struct line *l, const void *object) { return at(l, object); }
static struct strv *list_at(const struct line *l, const void *object) { return at(l, object); }
static int64_t *number_at(const struct line *l, const void *object) { return at(l, object); }
static int *word_at(const struct line *l, const void *object) { return at(l, object); }

void lines_release(const struct lines *t, void *object)
{
    for (const struct line *l = t->line; l < t->line + t->n; l++)
        if (l->kind == LINE_TEXT)
            free(*text_at(l, object));
        else if (l->kind == LINE_LIST)
            strv_release(list_at(l, object));
    lines_init(t, object);
}

void lines_init(const struct lines *t, void *object)
{
    for (const struct line *l = t->line; l < t->line + t->n; l++)
        switch (l->kind) {
        case LINE_TEXT: *text_at(l, object) = NULL; break;
        case LINE_LIST: *list_at(l, object) = (struct strv){0}; break;
        case LINE_NUMBER:
        case LINE_MAYBE: *number_at(l, object) = l->standard; break;
        case LINE_WORD: *word_at(l, object) = (int)l->standard; break;
        }
}

/* ---- checking ---- */

static bool fits(const char *text) { return *text && !strchr(text, '\n'); }

static int check_line(const struct line *l, const void *object, struct err *err)
{
    bool there = true, good = true;
    switch (l->kind) {
    case LINE_TEXT:
        there = *text_at(l, object);
        good = !there || fits(*text_at(l, object));
        break;
    case LINE_LIST:
        there = list_at(l, object)->n;
        for (size_t i = 0; i < list_at(l, object)->n; i++)
            good = good && fits(list_at(l, object)->items[i]);
        break;
    case LINE_NUMBER:
        good = *number_at(l, object) >= l->min && *number_at(l, object) <= l->max;
        break;
    case LINE_MAYBE:
    case LINE_WORD: break;
    }
    if (l->required && !there)
        return err_set(err, ERR_INVALID, "\"%s\" is missing", l->name);
    return good ? 0 : err_set(err, ERR_INVALID, "\"%s\" has a value that fits no line", l->name);
}

int lines_check(const struct lines *t, const void *object, struct err *err)
{
    for (const struct line *l = t->line; l < t->line + t->n; l++)
        if (check_line(l, object, err) < 0)
            return err_wrap(err, "%s", t->title);
    return 0;
}

/* ---- writing ---- */

static void format_line(const struct line *l, const void *object, struct buf *ret)
{
    const struct strv one = {text_at(l, object), 1, 1};
    const struct strv *texts = l->kind == LINE_LIST ? list_at(l, object) : &one;
    switch (l->kind) {
    case LINE_TEXT:
    case LINE_LIST:
        for (size_t i = 0; i < texts->n && texts->items[i]; i++)
            buf_addf(ret, "%s %s\n", l->name, texts->items[i]);
        break;
    case LINE_MAYBE:
        if (*number_at(l, object) == l->standard)
            break;
        __attribute__((fallthrough));
    case LINE_NUMBER: buf_addf(ret, "%s %lld\n", l->name, (long long)*number_at(l, object)); break;
    case LINE_WORD: buf_addf(ret, "%s %s\n", l->name, l->words[*word_at(l, object)]); break;
    }
}

void lines_format(const struct lines *t, const void *object, struct buf *ret)
{
    for (const struct line *l = t->line; l < t->line + t->n; l++)
        format_line(l, object, ret);
}

/* ---- reading ---- */

static int set_number(const struct line *l, struct str value, int64_t *ret, struct err *err)
{
    uint64_t n;
    int r = str_to_u64(value, (uint64_t)MAX(l->min, 0), (uint64_t)l->max, &n, err);
    if (r < 0)
        return err_wrap(err, "%s", l->name);
    *ret = (int64_t)n;
    return 0;
}

static int set_word(const struct line *l, struct str value, int *ret, struct err *err)
{
    for (int i = 0; i <= l->max; i++)
        if (str_eq(value, str_of(l->words[i]))) {
            *ret = i;
            return 0;
        }
    return err_set(err, ERR_INVALID, "%s can't be \"%.*s\"", l->name, (int)MIN(value.len, 64),
                   value.ptr);
}

static int set(const struct line *l, struct str value, void *object, struct err *err)
{
    if (!value.len || memchr(value.ptr, '\0', value.len))
        return err_set(err, ERR_INVALID, "\"%s\" needs a value", l->name);
    switch (l->kind) {
    case LINE_TEXT:
        free(*text_at(l, object));
        *text_at(l, object) = xstrndup(value.ptr, value.len);
        return 0;
    case LINE_LIST: strv_take(list_at(l, object), xstrndup(value.ptr, value.len)); return 0;
    case LINE_NUMBER:
    case LINE_MAYBE: return set_number(l, value, number_at(l, object), err);
    case LINE_WORD: return set_word(l, value, word_at(l, object), err);
    }
    return 0;
}

static int read_line(const struct lines *t, struct str name, struct str value, void *object,
                     struct err *err)
{
    for (const struct line *l = t->line; l < t->line + t->n; l++)
        if (str_eq(name, str_of(l->name)))
            return set(l, value, object, err);
    return err_set(err, ERR_INVALID, "unknown name \"%.*s\"", (int)MIN(name.len, 64), name.ptr);
}

int lines_parse(const struct lines *t, struct str text, bool strict, void *object, struct err *err)
{
    for (unsigned line = 1; text.len; line++) {
        struct str value = str_cut(&text, '\n'), name = str_cut(&value, ' ');
        if (name.len && read_line(t, name, value, object, err) < 0 && strict)
            return err_wrap(err, "%s, line %u", t->title, line);
    }
    return 0;
}
