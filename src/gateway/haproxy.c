#include "gateway/command.h"
#include "gateway/runtime.h"

/* --- reading --------------------------------------------------------------------------------- */

/* Cuts the next word off a line. */
static struct str word(struct str *rest)
{
    while (rest->len && *rest->ptr == ' ')
        rest->ptr++, rest->len--;
    return str_cut(rest, ' ');
}

/* "0x55d0 key value" */
static void take_rows(struct str text, struct table *ret)
{
    while (text.len) {
        struct str line = str_cut(&text, '\n');
        word(&line);
        struct str key = word(&line), value = word(&line);
        if (!key.len || !value.len)
            continue;
        _cleanup_free_ char *k = xstrndup(key.ptr, key.len), *v = xstrndup(value.ptr, value.len);
        if (!table_get(ret, k)) /* of equal keys HAProxy finds the first */
            table_set(ret, k, v);
    }
}

enum { ADMIN_MAINT = 1 | 2 | 4 }; /* bits of srv_admin_state, management.txt */

/* A line of `show servers state`: be_id be_name srv_id srv_name srv_addr op_state admin_state …
 * with the port as the 19th word. */
static void take_server(struct str line, struct state *ret)
{
    struct str words[20];
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        words[i] = word(&line);
    _cleanup_free_ char *backend = xstrndup(words[1].ptr, words[1].len);
    uint64_t admin;
    if (!words[19].len || !pool_number(backend) ||
        str_to_u64(words[6], 0, UINT32_MAX, &admin, NULL) < 0)
        return;
    _cleanup_free_ char *name = xstrndup(words[3].ptr, words[3].len);
    _cleanup_free_ char *address =
        xasprintf("%.*s:%.*s", (int)words[4].len, words[4].ptr, (int)words[18].len, words[18].ptr);
    state_add_server(ret, backend, name, address)->stopped = admin & ADMIN_MAINT;
}

static void take_servers(struct str text, struct state *ret)
{
    while (text.len) {
        struct str line = str_cut(&text, '\n');
        if (line.len && *line.ptr != '#')
            take_server(line, ret);
    }
}

static void take_pool(struct str text, struct state *ret)
{
    while (text.len) {
        struct str line = str_trim(str_cut(&text, '\n'));
        _cleanup_free_ char *name = xstrndup(line.ptr, line.len);
        ret->pool = MAX(ret->pool, pool_number(name));
    }
}

static int observe_former(struct haproxy *h, pid_t pid, struct state *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf reply = BUF_CAP(HAPROXY_REPLY_MAX);
    _cleanup_(state_release) struct state theirs = {0};
    int r = runtime_ask(h, pid, "show servers state", &reply, err);
    if (r < 0)
        return r;
    take_servers(buf_str(&reply), &theirs);
    for (size_t i = 0; i < theirs.n_servers; i++) {
        const struct server *v = &theirs.servers[i];
        if (state_server(ret, v->backend, v->name))
            continue;
        struct server *left = state_add_server(ret, v->backend, v->name, v->address);
        left->stopped = left->former = true;
    }
    return 0;
}

int haproxy_observe(struct haproxy *h, struct state *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf reply = BUF_CAP(HAPROXY_REPLY_MAX);
    _cleanup_(state_release) struct state s = {0};
    int r = runtime_ask(h, h->worker,
                        "show map hosts.map;show map wild.map;show map apps.map;"
                        "show servers state;show backend",
                        &reply, err);
    struct str rest = buf_str(&reply);
    for (int i = 0; !r && i < TABLES; i++)
        take_rows(command_answer(&rest), &s.tables[i]);
    if (!r) {
        take_servers(command_answer(&rest), &s);
        take_pool(command_answer(&rest), &s);
    }
    for (size_t i = 0; !r && i < h->n_former; i++)
        r = observe_former(h, h->former[i], &s, err);
    if (r < 0)
        return err_wrap(err, "reading HAProxy's state");
    state_release(ret);
    *ret = s;
    s = (struct state){0};
    return 0;
}

/* --- counting -------------------------------------------------------------------------------- */

/* CSV: pxname,svname,qcur,qmax,scur,… : queued and running requests of each server. */
static void take_counts(struct str text, struct server *servers, size_t n)
{
    while (text.len) {
        struct str line = str_cut(&text, '\n'), fields[5];
        for (size_t i = 0; i < ARRAY_LEN(fields); i++)
            fields[i] = str_cut(&line, ',');
        uint64_t queued, running;
        if (str_to_u64(fields[2], 0, UINT32_MAX, &queued, NULL) < 0 ||
            str_to_u64(fields[4], 0, UINT32_MAX, &running, NULL) < 0)
            continue;
        for (size_t i = 0; i < n; i++) {
            if (str_eq(fields[1], str_of(servers[i].name)))
                servers[i].requests += (int64_t)(queued + running);
        }
    }
}

static int count_backend(struct haproxy *h, struct server *servers, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++)
        servers[i].requests = 0;
    int r = 0;
    for (size_t k = 0; !r && k < 2 * (h->n_former + 1); k++) { /* each worker, both twins */
        _cleanup_(buf_release) struct buf reply = BUF_CAP(HAPROXY_REPLY_MAX);
        _cleanup_free_ char *command =
            xasprintf("show stat %c%s 4 -1", k % 2 ? 'g' : 's', servers[0].backend + 1);
        r = runtime_ask(h, k < 2 ? h->worker : h->former[k / 2 - 1], command, &reply, err);
        take_counts(buf_str(&reply), servers, n);
    }
    return r;
}

static bool any_stopped(const struct server *servers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (servers[i].stopped)
            return true;
    }
    return false;
}

int haproxy_count(struct haproxy *h, struct state *s, struct err *err)
{
    pid_t master, worker;
    int r = 0;
    if (h->n_former && any_stopped(s->servers, s->n_servers)) /* some may have ended */
        r = runtime_processes(h, &master, &worker, err);
    for (size_t i = 0, n; !r && i < s->n_servers; i += n) {
        state_servers_of(s, s->servers[i].backend, &n);
        if (any_stopped(&s->servers[i], n))
            r = count_backend(h, &s->servers[i], n, err);
    }
    return r;
}

/* --- acting ---------------------------------------------------------------------------------- */

/* A server that only a former worker has. */
static void act_on_former(struct state *s, struct server *v, const struct action *a)
{
    if (a->type == ACTION_CUT || (a->type == ACTION_DELETE && !v->requests))
        state_delete_server(s, a->backend, a->name);
}

static void apply(const struct haproxy *h, struct state *s, const struct action *a, bool deleted)
{
    if (a->type == ACTION_DELETE && !deleted)
        return;
    state_apply(s, a);
    if (a->type != ACTION_STOP || !deleted)
        return;
    if (h->n_former)
        state_server(s, a->backend, a->name)->former = true;
    else
        state_delete_server(s, a->backend, a->name);
}

int haproxy_act(struct haproxy *h, struct state *s, const struct action *a, struct err *err)
{
    struct server *v = a->backend ? state_server(s, a->backend, a->name) : NULL;
    if (v && v->former && a->type != ACTION_ADD) {
        act_on_former(s, v, a);
        return 0;
    }
    _cleanup_free_ char *command = NULL;
    _cleanup_(buf_release) struct buf reply = BUF_INIT;
    bool deleted;
    int r = command_for(s, a, &command, err);
    if (r < 0)
        return r;
    if ((r = runtime_ask(h, h->worker, command, &reply, err)) < 0 ||
        (r = command_judge(a, buf_str(&reply), &deleted, err)) < 0)
        return err_wrap(err, "%s", command);
    apply(h, s, a, deleted);
    return 0;
}
