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
        take_rows(runtime_answer(&rest), &s.tables[i]);
    if (!r) {
        take_servers(runtime_answer(&rest), &s);
        take_pool(runtime_answer(&rest), &s);
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
    _cleanup_free_ char *command = xasprintf("show stat %s 4 -1", servers[0].backend);
    for (size_t i = 0; i < n; i++)
        servers[i].requests = 0;
    int r = 0;
    for (size_t k = 0; !r && k <= h->n_former; k++) {
        _cleanup_(buf_release) struct buf reply = BUF_CAP(HAPROXY_REPLY_MAX);
        r = runtime_ask(h, k ? h->former[k - 1] : h->worker, command, &reply, err);
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

/* What goes into a command may hold nothing that means something to HAProxy's reader. */
static bool is_plain(const char *text)
{
    return !text || (*text && !text[strspn(text, "abcdefghijklmnopqrstuvwxyz"
                                                 "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:")]);
}

static char *command_for(const struct state *s, const struct action *a)
{
    const char *be = a->backend, *name = a->name;
    struct str port = str_of(a->value ? a->value : ""), ip = str_cut(&port, ':');
    switch (a->type) {
    case ACTION_ADD:
        return xasprintf("add server %s/%s %s " CONF_SERVER_ARGS ";enable server %s/%s", be, name,
                         a->value, be, name);
    case ACTION_ADDRESS:
        return xasprintf("set server %s/%s addr %.*s port %.*s", be, name, (int)ip.len, ip.ptr,
                         (int)port.len, port.ptr);
    case ACTION_START: return xasprintf("set server %s/%s state ready", be, name);
    case ACTION_STOP:
        return xasprintf("set server %s/%s state maint;del server %s/%s", be, name, be, name);
    case ACTION_CUT: return xasprintf("shutdown sessions server %s/%s", be, name);
    case ACTION_DELETE: /* a new address makes HAProxy close what idles to the old one */
        return xasprintf("set server %s/%s addr 127.0.0.1 port 1;del server %s/%s", be, name, be,
                         name);
    case ACTION_SET:
        return table_get(&s->tables[a->table], name)
                   ? xasprintf("set map %s %s %s", table_files[a->table], name, a->value)
                   : xasprintf("add map %s %s %s", table_files[a->table], name, a->value);
    case ACTION_UNSET: return xasprintf("del map %s %s", table_files[a->table], name);
    case ACTION_GROW:
    case ACTION_DRAINED: break;
    }
    return NULL;
}

static bool says(struct str reply, const char *text)
{
    return memmem(reply.ptr, reply.len, text, strlen(text)) != NULL;
}

/* HAProxy answers in words only: nothing, or one of these, is success. */
static bool is_success(struct str answer)
{
    static const char *const fine[] = {"New server registered.", "Server deleted.",
                                       " changed from ", "no need to change"};
    if (!str_trim(answer).len)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(fine); i++) {
        if (says(answer, fine[i]))
            return true;
    }
    return false;
}

static bool is_deletion(enum action_type t) { return t == ACTION_STOP || t == ACTION_DELETE; }

/* "Server still has connections attached to it, cannot remove it." is a fact, not a failure. */
static int judge(const struct action *a, struct str reply, bool *ret_deleted, struct err *err)
{
    *ret_deleted = false;
    while (reply.len) {
        struct str answer = runtime_answer(&reply);
        if (is_deletion(a->type) && says(answer, "still has connections"))
            continue;
        if (is_deletion(a->type) &&
            (says(answer, "Server deleted.") || says(answer, "No such server.")))
            *ret_deleted = true;
        else if (!is_success(answer))
            return err_set(err, ERR_INTERNAL, "HAProxy says: %.*s", (int)str_trim(answer).len,
                           str_trim(answer).ptr);
    }
    return 0;
}

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
    if (!is_plain(a->backend) || !is_plain(a->name) || !is_plain(a->value))
        return err_set(err, ERR_INVALID, "not a name for HAProxy: %s %s", a->name,
                       a->value ? a->value : "");
    struct server *v = a->backend ? state_server(s, a->backend, a->name) : NULL;
    if (v && v->former && a->type != ACTION_ADD) {
        act_on_former(s, v, a);
        return 0;
    }
    _cleanup_free_ char *command = command_for(s, a);
    _cleanup_(buf_release) struct buf reply = BUF_INIT;
    bool deleted;
    int r = runtime_ask(h, h->worker, command, &reply, err);
    if (r < 0 || (r = judge(a, buf_str(&reply), &deleted, err)) < 0)
        return err_wrap(err, "%s", command);
    apply(h, s, a, deleted);
    return 0;
}
