#include "gateway/rows.h"

static int compare_rows(const void *a, const void *b)
{
    const struct want_row *x = a, *y = b;
    int r = strcmp(x->key, y->key);
    return r ? r : (x->rank > y->rank) - (x->rank < y->rank);
}

static void add(struct want_rows *r, char *key, const char *app, size_t rank)
{
    r->rows[r->n++] = (struct want_row){key, app, rank};
}

static void sort_and_thin(struct want_rows *r)
{
    size_t keep = 0;
    if (r->n)
        qsort(r->rows, r->n, sizeof(*r->rows), compare_rows);
    for (size_t i = 0; i < r->n; i++) {
        if (keep && streq(r->rows[keep - 1].key, r->rows[i].key))
            free(r->rows[i].key);
        else
            r->rows[keep++] = r->rows[i];
    }
    r->n = keep;
}

void want_rows_collect(const struct wanted *w, struct want_rows *ret_hosts,
                       struct want_rows *ret_wild)
{
    *ret_hosts =
        (struct want_rows){.rows = xcalloc(w->n_apps + w->n_hosts + 1, sizeof(*ret_hosts->rows))};
    *ret_wild = (struct want_rows){.rows = xcalloc(w->n_hosts + 1, sizeof(*ret_wild->rows))};
    for (size_t i = 0; i < w->n_apps; i++)
        add(ret_hosts, xasprintf("%s.%s", w->apps[i].name, w->domain), w->apps[i].name, 0);
    for (size_t i = 0; i < w->n_hosts; i++) {
        const struct want_host *h = &w->hosts[i];
        bool star = str_starts(str_of(h->host), STR("*."));
        if (wanted_has_app(w, str_of(h->app)))
            add(star ? ret_wild : ret_hosts, xstrdup(star ? h->host + 2 : h->host), h->app, 1 + i);
    }
    sort_and_thin(ret_hosts);
    sort_and_thin(ret_wild);
}

void want_rows_release(struct want_rows *r)
{
    for (size_t i = 0; i < r->n; i++)
        free(r->rows[i].key);
    free(r->rows);
    *r = (struct want_rows){0};
}
