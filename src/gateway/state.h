/* What HAProxy has: its tables (map files) and the servers in its backends. Read from it once by
 * haproxy_observe, then kept by state_apply as actions succeed. Pure.
 *
 * HAProxy 2.6 can't make a backend at run time, so there is a pool of them, named s1 … sN. An app
 * gets one while it has servers; the table `apps` says which. */
#ifndef GATEWAY_STATE_H
#define GATEWAY_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum table_id {
    TABLE_HOSTS, /* host → app */
    TABLE_WILD,  /* what follows the first label of a wildcard host → app */
    TABLE_APPS, /* app → backend: one of the pool, or one that answers with an error (H14, …) */
    TABLES,
};

struct table {
    struct row {
        char *key, *value;
    } * rows; /* sorted by key */
    size_t n;
};

struct server {
    char *backend;    /* "s7" */
    char *name;       /* APP:web.INDEX:ID, see server_name */
    char *address;    /* 10.0.0.2:5000 */
    bool stopped;     /* gets no new requests */
    bool former;      /* only a former worker still has it */
    int64_t requests; /* of a stopped one: still running; -1: not counted yet */
};

struct state {
    struct table tables[TABLES];
    struct server *servers; /* sorted by backend, then name */
    size_t n_servers;
    size_t pool; /* backends there are */
};

void state_release(struct state *s);

const char *table_get(const struct table *t, const char *key); /* NULL: not there */
void table_set(struct table *t, const char *key, const char *value);
void table_delete(struct table *t, const char *key);

struct server *state_server(const struct state *s, const char *backend, const char *name);
/* Adds it (strings are copied) or finds the one that is there already. */
struct server *state_add_server(struct state *s, const char *backend, const char *name,
                                const char *address);
void state_delete_server(struct state *s, const char *backend, const char *name);
/* Index of the first server of `backend`; *ret_n how many there are. */
size_t state_servers_of(const struct state *s, const char *backend, size_t *ret_n);

/* The name a server has in HAProxy, the caller's; and its parts again. False: not a name of ours.
 */
char *server_name(const char *app, int64_t index, const char *id);
bool server_name_parts(struct str name, struct str *ret_app, struct str *ret_process,
                       struct str *ret_id);
/* Whether a backend's name is one of the pool; its number, from 1, if so, else 0. */
size_t pool_number(const char *backend);

/* What can be done to HAProxy, and to the store. */
#define ACTION_TYPES(X)                                                                            \
    X(GROW, "grow")       /* reload with `count` backends in the pool */                           \
    X(ADD, "add")         /* a server, at `value`, taking requests */                              \
    X(ADDRESS, "address") /* the server is at `value` now */                                       \
    X(START, "start")     /* a stopped server takes requests again, at `value` */                  \
    X(SET, "set")         /* key `name` of `table` to `value` */                                   \
    X(UNSET, "unset")                                                                              \
    X(STOP, "stop") /* the server gets no new requests */                                          \
    X(CUT, "cut")   /* what still runs on the server ends now */                                   \
    X(DELETE, "delete")                                                                            \
    X(DRAINED, "drained") /* tell the store: instance `value` of app `name` has no request left */
enum action_type {
#define X(name, text) ACTION_##name,
    ACTION_TYPES(X)
#undef X
};
extern const char *const action_names[];

struct action {
    enum action_type type;
    enum table_id table;
    size_t count;
    char *backend, *name, *value;
};

struct plan {
    struct action *actions; /* in the order they are to be done */
    size_t n;
};

void plan_release(struct plan *p);
/* The state after the action succeeded. */
void state_apply(struct state *s, const struct action *a);

#endif
