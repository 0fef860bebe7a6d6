/* A running HAProxy: its process and its runtime socket.
 *
 * HAProxy is a master process, the worker that serves, and after a reload, as long as their last
 * requests last, former workers. Those take neither new requests nor orders ("Proxy is disabled."),
 * but what they still run counts: an instance drains only when no worker has a request on it. Calls
 * block for as long as HAProxy takes to answer (under a millisecond;
 * at most HAPROXY_TIMEOUT_MS). One thread only. */
#ifndef GATEWAY_HAPROXY_H
#define GATEWAY_HAPROXY_H

#include <sys/types.h>

#include "gateway/conf.h"

enum { HAPROXY_TIMEOUT_MS = 5000, HAPROXY_REPLY_MAX = 64 << 20 };

struct haproxy {
    const struct config *config;
    char *dir; /* run/davit/gateway */
    int dir_fd;
    pid_t master, worker;     /* 0: none runs */
    int master_fd, worker_fd; /* pidfds; readable when they end */
    int reloads;              /* the master has made, and … */
    bool reload_failed;       /* the last one did: the worker is the one from before */
    pid_t *former;
    size_t n_former;
};

int haproxy_open(const struct config *c, struct haproxy *ret, struct err *err);
void haproxy_close(struct haproxy *h);

/* Writes configuration and tables for `s` and starts HAProxy with them; returns when it serves.
 * ERR_UNAVAILABLE says in HAProxy's words why it doesn't (a port taken …). */
int haproxy_start(struct haproxy *h, const struct state *s, struct err *err);
/* The same for a running one: a new worker takes over the listeners. */
int haproxy_reload(struct haproxy *h, const struct state *s, struct err *err);
/* Finds the one that runs in our folder. ERR_NOT_FOUND: none does. */
int haproxy_adopt(struct haproxy *h, struct err *err);
/* Forgets the processes (after one has ended). */
void haproxy_forget(struct haproxy *h);
/* Ends it, at once. None running is fine. */
int haproxy_stop(struct haproxy *h, struct err *err);

/* Keeps what HAProxy prints within bounds. */
void haproxy_trim_output(struct haproxy *h);
/* Whether the running one was started with today's settings. */
bool haproxy_is_current(struct haproxy *h);
/* Reads tables and servers of every worker into *ret. */
int haproxy_observe(struct haproxy *h, struct state *ret, struct err *err);
/* Counts the requests still running on each stopped server. */
int haproxy_count(struct haproxy *h, struct state *s, struct err *err);
/* Does one action (not GROW, not DRAINED) and on success applies it to *s. A STOP also tries to
 * delete the server: HAProxy does that with all its threads held, and only if nothing is connected
 * to it. So either the server is gone, drained, or from then on its count is exact. What a former
 * worker runs can't be cut: a CUT makes us forget it. */
int haproxy_act(struct haproxy *h, struct state *s, const struct action *a, struct err *err);

#endif
