#include "operator/mirror.h"

#include "base/array.h"
#include "base/log.h"

struct entry {
    char *key, *value;
    size_t value_len;
    int64_t rev, lease;
    const struct schema *schema; /* of `decoded`; NULL: not decoded yet */
    void *decoded;               /* NULL with a schema: it doesn't decode */
};

struct mirror {
    struct entry **entries; /* sorted by key: few bytes move where one comes or goes */
    size_t n;
};

struct mirror *mirror_new(void) { return xcalloc(1, sizeof(struct mirror)); }

static void drop_decoded(struct entry *e)
{
    if (e->decoded)
        model_release(e->schema, e->decoded);
    free(e->decoded);
    e->decoded = NULL;
    e->schema = NULL;
}

static void entry_free(struct entry *e)
{
    drop_decoded(e);
    free(e->key);
    free(e->value);
    free(e);
}

void mirror_free(struct mirror *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->n; i++)
        entry_free(m->entries[i]);
    free(m->entries);
    free(m);
}

/* The index of the first entry whose key is not before `key`. */
static size_t lower_bound(const struct mirror *m, const char *key)
{
    size_t low = 0, high = m->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (strcmp(m->entries[mid]->key, key) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static struct entry *find(struct mirror *m, const char *key)
{
    size_t at = lower_bound(m, key);
    return at < m->n && streq(m->entries[at]->key, key) ? m->entries[at] : NULL;
}

static void remove_at(struct mirror *m, size_t at)
{
    entry_free(m->entries[at]);
    array_remove(m->entries, m->n, at);
}

static struct entry *insert_at(struct mirror *m, size_t at)
{
    return *array_insert(m->entries, m->n, at) = xcalloc(1, sizeof(struct entry));
}

bool mirror_apply(struct mirror *m, struct kv *kv)
{
    size_t at = lower_bound(m, kv->key);
    bool there = at < m->n && streq(m->entries[at]->key, kv->key);
    if (there && m->entries[at]->rev >= kv->mod_rev)
        return false;
    if (!kv->value) {
        if (there)
            remove_at(m, at);
        return there;
    }
    struct entry *e = there ? m->entries[at] : insert_at(m, at);
    drop_decoded(e);
    free(e->key);
    free(e->value);
    e->key = TAKE_PTR(kv->key);
    e->value = TAKE_PTR(kv->value);
    e->value_len = kv->value_len;
    e->rev = kv->mod_rev;
    e->lease = kv->lease;
    return true;
}

/* Behind the last of those from `first` on that begin with the prefix. */
static size_t end_of(const struct mirror *m, const char *prefix, size_t first)
{
    size_t end = first, high = m->n;
    while (end < high) {
        size_t mid = end + (high - end) / 2;
        if (str_starts(str_of(m->entries[mid]->key), str_of(prefix)))
            end = mid + 1;
        else
            high = mid;
    }
    return end;
}

void mirror_forget(struct mirror *m, const char *prefix, int64_t revision)
{
    size_t first = lower_bound(m, prefix), end = end_of(m, prefix, first), keep = first;
    for (size_t i = first; i < end; i++) {
        if (m->entries[i]->rev <= revision)
            entry_free(m->entries[i]);
        else
            m->entries[keep++] = m->entries[i];
    }
    if (keep == end)
        return;
    memmove(&m->entries[keep], &m->entries[end], (m->n - end) * sizeof(struct entry *));
    m->n -= end - keep;
}

static const void *decode(struct entry *e, const struct schema *s)
{
    if (e->schema == s)
        return e->decoded;
    drop_decoded(e);
    struct err err;
    void *value = xcalloc(1, s->size);
    if (model_decode(s, (struct str){e->value, e->value_len}, value, &err) < 0) {
        log_error("%s at revision %lld is ignored: %s", e->key, (long long)e->rev, err.msg);
        free(value);
        value = NULL;
    }
    e->schema = s;
    e->decoded = value;
    return value;
}

const void *mirror_get(struct mirror *m, const char *key, const struct schema *s, int64_t *ret_rev)
{
    struct entry *e = find(m, key);
    if (ret_rev)
        *ret_rev = e ? e->rev : 0;
    return e ? decode(e, s) : NULL;
}

int64_t mirror_lease(struct mirror *m, const char *key, int64_t *ret_rev)
{
    const struct entry *e = find(m, key);
    *ret_rev = e ? e->rev : 0;
    return e ? e->lease : 0;
}

struct mirror_iter mirror_iter(struct mirror *m, const char *prefix)
{
    size_t first = lower_bound(m, prefix);
    return (struct mirror_iter){.mirror = m, .at = first, .end = end_of(m, prefix, first)};
}

struct mirror_iter mirror_of(struct mirror *m, const struct schema *noun, const char *first)
{
    _cleanup_free_ char *prefix = key_prefix(noun, first);
    struct mirror_iter i = mirror_iter(m, prefix);
    i.noun = noun;
    return i;
}

void mirror_skip(struct mirror_iter *i, const char *key)
{
    size_t at = lower_bound(i->mirror, key);
    at += at < i->mirror->n && streq(i->mirror->entries[at]->key, key);
    i->at = MIN(MAX(i->at, at), i->end);
}

bool mirror_next(struct mirror_iter *i)
{
    while (i->at < MIN(i->end, i->mirror->n)) {
        const struct entry *e = i->mirror->entries[i->at++];
        if (i->noun && !key_is(i->noun, e->key, i->parts))
            continue;
        i->key = e->key;
        i->rev = e->rev;
        return true;
    }
    return false;
}

const void *mirror_value(struct mirror_iter *i, const struct schema *s)
{
    return decode(i->mirror->entries[i->at - 1], s);
}

const void *mirror_each(struct mirror_iter *i)
{
    const void *value = NULL;
    while (!value && mirror_next(i))
        value = mirror_value(i, i->noun);
    return value;
}
