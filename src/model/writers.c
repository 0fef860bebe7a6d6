#include "model/writers.h"

enum { FIELDS_MAX = 64 };

static const struct schema *noun_of(const char *key, struct str parts[KEY_PARAMS_MAX])
{
    for (size_t i = 0; nouns[i]; i++)
        if (nouns[i]->key && key_is(nouns[i], key, parts))
            return nouns[i];
    return NULL;
}

/* `OPERATOR` is who the last parameter of the key names. */
static bool is_writer(const struct writer *w, const char *who, const struct str *last)
{
    return streq(w->who, who) || (streq(w->who, "OPERATOR") && str_eq(*last, str_of(who)));
}

static const struct writer *find_writer(const struct schema *noun, const char *who,
                                        const struct str *parts)
{
    const struct str *last = parts;
    for (const char *c = noun->key_params; (c = strchr(c, ',')); c++)
        last++;
    for (const struct writer *w = noun->writers; w->who; w++)
        if (is_writer(w, who, last))
            return w;
    return NULL;
}

static void add_writers(const struct schema *noun, struct buf *ret)
{
    for (const struct writer *w = noun->writers; w->who; w++) {
        buf_addf(ret, "%s`%s`", w == noun->writers ? "" : ", ", w->who);
        if (w->may == DELETES)
            buf_adds(ret, " (deletes)");
        for (const char *const *f = w->fields; *f; f++)
            buf_addf(ret, "%s%s%s", f == w->fields ? " (" : ", ", *f, f[1] ? "" : ")");
    }
}

static int forbidden(const struct schema *noun, const char *who, const char *does, const char *key,
                     struct err *err)
{
    _cleanup_(buf_release) struct buf writers = BUF_CAP(512);
    add_writers(noun, &writers);
    return err_set(err, ERR_FORBIDDEN, "%s %s %s, which is for %s", who, does, key, writers.ptr);
}

/* --- deleting -------------------------------------------------------------------------------- */

static bool may_delete(const char *who, const char *key)
{
    struct str parts[KEY_PARAMS_MAX];
    const struct schema *noun = noun_of(key, parts);
    const struct writer *w = noun ? find_writer(noun, who, parts) : NULL;
    if (w && !*w->fields)
        return true;
    const char *end = strrchr(key, '/');
    if (!end || end == key)
        return false;
    _cleanup_free_ char *above = xstrndup(key, (size_t)(end - key));
    return may_delete(who, above);
}

/* --- changing -------------------------------------------------------------------------------- */

static bool among(const char *const *names, const char *name)
{
    while (*names && !streq(*names, name))
        names++;
    return *names;
}

/* Whether two values differ in nothing but these fields. */
static bool same_but(const struct schema *noun, const char *const *names, const void *a,
                     const void *b)
{
    struct field rest[FIELDS_MAX] = {0};
    size_t n = 0;
    for (const struct field *f = noun->fields; f->name && n < FIELDS_MAX - 1; f++)
        if (!among(names, f->name))
            rest[n++] = *f;
    const struct schema partly = {noun->noun, noun->size, rest};
    return model_equal(&partly, a, b);
}

static const struct field *state_field(const struct schema *noun)
{
    const struct field *f = noun->fields;
    while (!streq(f->name, "state"))
        f++;
    return f;
}

static bool may_go(const struct schema *noun, const char *who, int from, int to)
{
    const struct transition *t = noun->transitions;
    while (t->who && (t->from != from || t->to != to || !streq(t->who, who)))
        t++;
    return t->who || from == to;
}

static int change_check(const struct schema *noun, const struct writer *w, const char *who,
                        const char *key, const void *before, const void *after, struct err *err)
{
    if (*w->fields && !same_but(noun, w->fields, before, after))
        return forbidden(noun, who, "writes more than its fields of", key, err);
    if (!noun->transitions->who)
        return 0;
    const struct field *f = state_field(noun);
    int from = *(const int *)((const char *)before + f->offset),
        to = *(const int *)((const char *)after + f->offset);
    if (may_go(noun, who, from, to))
        return 0;
    return err_set(err, ERR_FORBIDDEN,
                   "%s takes %s from %s to %s, which no row of its table allows", who, key,
                   f->names[from], f->names[to]);
}

int write_check(const char *who, const char *key, struct str before, struct str after,
                struct err *err)
{
    struct str parts[KEY_PARAMS_MAX];
    const struct schema *noun = noun_of(key, parts);
    if (!noun)
        return err_set(err, ERR_INVALID, "%s writes %s, which is of no noun", who, key);
    if (!after.ptr)
        return may_delete(who, key) ? 0 : forbidden(noun, who, "deletes", key, err);
    const struct writer *w = find_writer(noun, who, parts);
    if (!w || w->may != WRITES || (*w->fields && !before.ptr))
        return forbidden(noun, who, "writes", key, err);
    void *old = xcalloc(1, noun->size), *new = xcalloc(1, noun->size);
    int r = model_decode(noun, after, new, err);
    if (r == 0 && before.ptr && model_decode(noun, before, old, NULL) == 0)
        r = change_check(noun, w, who, key, old, new, err);
    model_release(noun, old);
    model_release(noun, new);
    free(old);
    free(new);
    return r;
}

void writers_describe(struct buf *ret)
{
    for (size_t i = 0; nouns[i]; i++) {
        if (!nouns[i]->key)
            continue;
        buf_adds(ret, "| `");
        key_describe(nouns[i], ret);
        buf_addf(ret, "` | %s | ", nouns[i]->noun);
        add_writers(nouns[i], ret);
        buf_addf(ret, " | %s |\n", nouns[i]->doc);
    }
}
