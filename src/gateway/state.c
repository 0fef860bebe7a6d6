#include "gateway/state.h"

#include "base/array.h"

const char *const action_names[] = {
#define X(name, text) text,
    ACTION_TYPES(X)
#undef X
};

/* --- tables ---------------------------------------------------------------------------------- */

static int compare_row(const void *key, const void *row)
{
    return strcmp(key, ((const struct row *)row)->key);
}

static size_t row_at(const struct table *t, const char *key)
{
    return array_place(t->rows, t->n, sizeof(*t->rows), key, compare_row);
}

static bool row_is(const struct table *t, size_t at, const char *key)
{
    return at < t->n && streq(t->rows[at].key, key);
}

const char *table_get(const struct table *t, const char *key)
{
    size_t at = row_at(t, key);
    return row_is(t, at, key) ? t->rows[at].value : NULL;
}

void table_set(struct table *t, const char *key, const char *value)
{
    size_t at = row_at(t, key);
    if (row_is(t, at, key)) {
        free(t->rows[at].value);
        t->rows[at].value = xstrdup(value);
        return;
    }
    *array_insert(t->rows, t->n, at) = (struct row){xstrdup(key), xstrdup(value)};
}

void table_delete(struct table *t, const char *key)
{
    size_t at = row_at(t, key);
    if (!row_is(t, at, key))
        return;
    free(t->rows[at].key);
    free(t->rows[at].value);
    array_remove(t->rows, t->n, at);
}

static void table_release(struct table *t)
{
    for (size_t i = 0; i < t->n; i++) {
        free(t->rows[i].key);
        free(t->rows[i].value);
    }
    free(t->rows);
}

/* --- servers --------------------------------------------------------------------------------- */

static int compare_server(const void *key, const void *server)
{
    const struct server *a = key, *b = server;
    int r = strcmp(a->backend, b->backend);
    return r ? r : strcmp(a->name, b->name);
}

static size_t server_at(const struct state *s, const char *backend, const char *name)
{
    const struct server key = {.backend = (char *)backend, .name = (char *)name};
    return array_place(s->servers, s->n_servers, sizeof(*s->servers), &key, compare_server);
}

static bool server_is(const struct state *s, size_t at, const char *backend, const char *name)
{
    return at < s->n_servers && streq(s->servers[at].backend, backend) &&
           streq(s->servers[at].name, name);
}

struct server *state_server(const struct state *s, const char *backend, const char *name)
{
    size_t at = server_at(s, backend, name);
    return server_is(s, at, backend, name) ? &s->servers[at] : NULL;
}

struct server *state_add_server(struct state *s, const char *backend, const char *name,
                                const char *address)
{
    size_t at = server_at(s, backend, name);
    if (server_is(s, at, backend, name))
        return &s->servers[at];
    struct server *new = array_insert(s->servers, s->n_servers, at);
    *new = (struct server){.backend = xstrdup(backend),
                           .name = xstrdup(name),
                           .address = xstrdup(address),
                           .requests = -1};
    return new;
}

static void server_release(struct server *v)
{
    free(v->backend);
    free(v->name);
    free(v->address);
}

void state_delete_server(struct state *s, const char *backend, const char *name)
{
    struct server *old = state_server(s, backend, name);
    if (!old)
        return;
    server_release(old);
    array_remove(s->servers, s->n_servers, (size_t)(old - s->servers));
}

size_t state_servers_of(const struct state *s, const char *backend, size_t *ret_n)
{
    size_t first = server_at(s, backend, ""), end = first;
    while (end < s->n_servers && streq(s->servers[end].backend, backend))
        end++;
    *ret_n = end - first;
    return first;
}

void state_release(struct state *s)
{
    for (int i = 0; i < TABLES; i++)
        table_release(&s->tables[i]);
    for (size_t i = 0; i < s->n_servers; i++)
        server_release(&s->servers[i]);
    free(s->servers);
    *s = (struct state){0};
}

/* --- names ----------------------------------------------------------------------------------- */

char *server_name(const char *app, int64_t index, const char *id)
{
    return xasprintf("%s:web.%lld:%s", app, (long long)index, id);
}

bool server_name_parts(struct str name, struct str *ret_app, struct str *ret_process,
                       struct str *ret_id)
{
    struct str rest = name, app = str_cut(&rest, ':'), process = str_cut(&rest, ':');
    if (!app.len || !process.len || !rest.len)
        return false;
    *ret_app = app;
    *ret_process = process;
    *ret_id = rest;
    return true;
}

size_t pool_number(const char *backend)
{
    uint64_t n;
    if (backend[0] != 's' || str_to_u64(str_of(backend + 1), 1, 1 << 20, &n, NULL) < 0)
        return 0;
    return n;
}

/* --- actions --------------------------------------------------------------------------------- */

void plan_release(struct plan *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free(p->actions[i].backend);
        free(p->actions[i].name);
        free(p->actions[i].value);
    }
    free(p->actions);
    *p = (struct plan){0};
}

static void apply_to_server(struct server *v, const struct action *a)
{
    if (a->type == ACTION_ADDRESS || a->type == ACTION_START) {
        free(v->address);
        v->address = xstrdup(a->value);
    }
    if (a->type == ACTION_START) {
        v->stopped = false;
    } else if (a->type == ACTION_STOP) {
        v->stopped = true;
        v->requests = -1;
    }
}

void state_apply(struct state *s, const struct action *a)
{
    struct server *v = NULL;
    switch (a->type) {
    case ACTION_GROW: s->pool = a->count; break;
    case ACTION_ADD: state_add_server(s, a->backend, a->name, a->value); break;
    case ACTION_SET: table_set(&s->tables[a->table], a->name, a->value); break;
    case ACTION_UNSET: table_delete(&s->tables[a->table], a->name); break;
    case ACTION_DELETE: state_delete_server(s, a->backend, a->name); break;
    case ACTION_ADDRESS:
    case ACTION_START:
    case ACTION_STOP:
        if ((v = state_server(s, a->backend, a->name)))
            apply_to_server(v, a);
        break;
    case ACTION_CUT:
    case ACTION_DRAINED: break;
    }
}
