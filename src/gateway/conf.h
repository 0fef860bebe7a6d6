/* HAProxy's configuration and tables as text. Pure.
 *
 * All paths in it are relative: HAProxy's working folder is run/davit/gateway. The first line names
 * the fingerprint of everything but the pool and its servers, so that an operator that adopts a
 * running HAProxy sees whether it was started with the same settings. */
#ifndef GATEWAY_CONF_H
#define GATEWAY_CONF_H

#include "gateway/state.h"
#include "model/config.h"

/* What of the machine goes into it. */
struct conf_limits {
    uint64_t files; /* descriptors a process may have */
    unsigned cpus;
};

/* Names of the files in HAProxy's folder. */
#define CONF_FILE "haproxy.cfg"
#define CONF_SOCKET "haproxy.sock"
#define CONF_MASTER_SOCKET "master.sock"
#define CONF_CERT "cert.pem"
extern const char *const table_files[TABLES];

void conf_render(const struct config *c, struct conf_limits limits, const struct state *s,
                 struct buf *ret);
void conf_render_table(const struct table *t, struct buf *ret);
/* Whether a file that starts with `text` was made from these settings. */
bool conf_matches(const struct config *c, struct conf_limits limits, struct str text);

/* An answer HAProxy gives by itself: for its `status` the response in STATUS.http, made of the
 * status line's rest, the page <data>/errors/PAGE.html and our code, if any. */
struct conf_page {
    int status;
    const char *line, *page, *code;
};
extern const struct conf_page conf_pages[]; /* ended by one with status 0 */
void conf_render_page(const struct conf_page *p, struct str html, struct buf *ret);

/* The arguments every server has, in the file and in `add server`. Without a pool size servers
 * added at run time would not reuse connections. Idle ones go within some seconds, before the apps'
 * servers (Node: 5 s) close them just when a request is on its way. A server that was taken out is
 * asked every 100 ms whether it listens again: fastinter brings the next question forward. */
#define CONF_SERVER_ARGS                                                                           \
    "pool-max-conn 1000 pool-purge-delay 1s "                                                      \
    "check inter 1h fastinter 100ms downinter 100ms fall 1 rise 1 observe layer4 error-limit 1 "   \
    "on-error mark-down"
#define CONF_TWIN_ARGS " proto h2"

#endif
