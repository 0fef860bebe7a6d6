#include "operator/dirty.h"

#include "base/array.h"
#include "base/mem.h"

struct subject {
    char *name;
    int64_t at; /* when it becomes dirty by itself; INT64_MAX: never */
    bool dirty, taken;
};

void dirty_release(struct dirty *d)
{
    for (size_t i = 0; i < d->n; i++)
        free(d->items[i].name);
    free(d->items);
    *d = (struct dirty){0};
}

static int compare(const void *name, const void *subject)
{
    const struct str *s = name;
    const char *other = ((const struct subject *)subject)->name;
    int r = strncmp(s->ptr, other, s->len);
    return r ? r : -(other[s->len] != '\0');
}

static struct subject *subject(struct dirty *d, struct str name)
{
    size_t at = array_place(d->items, d->n, sizeof(*d->items), &name, compare);
    if (at < d->n && compare(&name, &d->items[at]) == 0)
        return &d->items[at];
    d->next += at < d->next;
    *array_insert(d->items, d->n, at) =
        (struct subject){.name = xstrndup(name.ptr, name.len), .at = INT64_MAX};
    return &d->items[at];
}

void dirty_add(struct dirty *d, struct str name) { subject(d, name)->dirty = true; }

void dirty_add_at(struct dirty *d, struct str name, int64_t at)
{
    struct subject *s = subject(d, name);
    s->at = MIN(s->at, at);
}

int64_t dirty_due(struct dirty *d, int64_t now)
{
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < d->n; i++) {
        struct subject *s = &d->items[i];
        if (s->at <= now) {
            s->dirty = true;
            s->at = INT64_MAX;
        }
        next = MIN(next, s->at);
    }
    return next;
}

const char *dirty_take(struct dirty *d)
{
    while (d->next < d->n) {
        struct subject *s = &d->items[d->next++];
        if (!s->dirty)
            continue;
        s->dirty = false;
        s->taken = true;
        s->at = INT64_MAX;
        return s->name;
    }
    return NULL;
}

void dirty_settle(struct dirty *d, bool done)
{
    size_t keep = 0;
    for (size_t i = 0; i < d->n; i++) {
        struct subject *s = &d->items[i];
        s->dirty |= s->taken && !done;
        s->taken = false;
        if (s->dirty || s->at != INT64_MAX)
            d->items[keep++] = *s;
        else
            free(s->name);
    }
    d->n = keep;
    d->next = 0;
}
