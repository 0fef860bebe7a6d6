#include "gateway/wanted.h"

#include "base/array.h"
#include "gateway/state.h"

static int compare_apps(const void *a, const void *b)
{
    return strcmp(((const struct want_app *)a)->name, ((const struct want_app *)b)->name);
}

static int compare_instances(const void *a, const void *b)
{
    const struct want_instance *x = a, *y = b;
    int r = strcmp(x->app, y->app);
    return r ? r : strcmp(x->id, y->id);
}

/* Of two apps that want one host the first by name gets it. */
static int compare_hosts(const void *a, const void *b)
{
    const struct want_host *x = a, *y = b;
    int r = strcmp(x->host, y->host);
    return r ? r : strcmp(x->app, y->app);
}

static void sort(void *items, size_t n, size_t size, int (*compare)(const void *, const void *))
{
    if (n > 1)
        qsort(items, n, size, compare);
}

void wanted_sort(struct wanted *w)
{
    sort(w->apps, w->n_apps, sizeof(*w->apps), compare_apps);
    sort(w->instances, w->n_instances, sizeof(*w->instances), compare_instances);
    sort(w->hosts, w->n_hosts, sizeof(*w->hosts), compare_hosts);
}

static int compare_text(struct str a, const char *b)
{
    size_t n = strlen(b);
    int r = memcmp(a.ptr, b, MIN(a.len, n));
    return r ? r : (a.len > n) - (a.len < n);
}

static int compare_app_name(const void *name, const void *app)
{
    return compare_text(*(const struct str *)name, ((const struct want_app *)app)->name);
}

static int compare_instance_app(const void *app, const void *instance)
{
    return compare_text(*(const struct str *)app, ((const struct want_instance *)instance)->app);
}

const struct want_instance *wanted_instances(const struct wanted *w, struct str app, size_t *ret)
{
    size_t first = array_place(w->instances, w->n_instances, sizeof(*w->instances), &app,
                               compare_instance_app),
           end = first;
    while (end < w->n_instances && !compare_text(app, w->instances[end].app))
        end++;
    *ret = end - first;
    return first < end ? &w->instances[first] : NULL;
}

const struct want_instance *wanted_instance(const struct wanted *w, const char *server)
{
    struct str app, process, id;
    if (!server_name_parts(str_of(server), &app, &process, &id))
        return NULL;
    size_t n;
    const struct want_instance *i = wanted_instances(w, app, &n);
    for (size_t k = 0; k < n; k++) {
        if (!compare_text(id, i[k].id))
            return &i[k];
    }
    return NULL;
}

bool wanted_has_app(const struct wanted *w, struct str name)
{
    size_t at = array_place(w->apps, w->n_apps, sizeof(*w->apps), &name, compare_app_name);
    return at < w->n_apps && !compare_text(name, w->apps[at].name);
}
