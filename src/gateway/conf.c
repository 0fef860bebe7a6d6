#include "gateway/conf.h"

#include "gateway/errors.h"

const char *const table_files[TABLES] = {"hosts.map", "wild.map", "apps.map"};

/* The fields of a request's log line, separated by tabs: see log.h. */
#define LOG_FORMAT                                                                                 \
    "%[date(0,us)]\\t%[var(txn.app)]\\t%ts\\t%ST\\t%b\\t%s\\t%HM\\t%[var(txn.host)]\\t%[var(txn."  \
    "id)]"                                                                                         \
    "\\t%ci\\t%Tc\\t%Tr\\t%Td\\t%B\\t%HV\\t%sslv\\t%{+E}HU"

/* Connections need two descriptors each, idle ones to servers one more; the rest is for sockets,
 * tables and the store's own. */
static uint64_t max_connections(struct conf_limits limits)
{
    uint64_t files = limits.files < 1000 ? 1000 : limits.files;
    return MIN((files - 500) / 3, (uint64_t)50000);
}

static void add_global(struct buf *b, struct conf_limits limits)
{
    buf_addf(b,
             "global\n"
             "  stats socket unix@" CONF_SOCKET " mode 600 level admin expose-fd listeners\n"
             "  stats timeout 1m\n"
             "  maxconn %llu\n"
             "  nbthread %u\n"
             "  hard-stop-after 24h\n"
             "  log stdout format raw local0 info\n"
             "  ssl-default-bind-options ssl-min-ver TLSv1.2\n"
             "  ssl-default-bind-ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
             "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
             "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305\n",
             (unsigned long long)max_connections(limits), MIN(limits.cpus, 64U));
}

static void add_defaults(struct buf *b)
{
    buf_adds(b, "defaults\n"
                "  mode http\n"
                "  timeout connect 5s\n"
                "  timeout http-request 30s\n"
                "  timeout client 55s\n"
                "  timeout server 55s\n"
                "  timeout tunnel 55s\n"
                "  balance leastconn\n"
                "  retries 3\n"
                "  option redispatch 1\n");
}

static void add_frontend(struct buf *b, const struct config *c)
{
    buf_addf(b, "frontend web\n  bind %s:%lld\n", c->listen, (long long)c->http_port);
    if (c->https_port)
        buf_addf(b, "  bind %s:%lld ssl crt " CONF_CERT " alpn h2,http/1.1\n", c->listen,
                 (long long)c->https_port);
    buf_adds(b, "  log global\n"
                "  log-format \"" LOG_FORMAT "\"\n"
                "  http-request set-var(txn.host) req.hdr(host),host_only,rtrim(.),lower\n"
                "  http-request set-var(txn.app) var(txn.host),map_str(hosts.map)\n"
                "  http-request set-var(txn.app) var(txn.host),field(2,.,0),map_str(wild.map) "
                "unless { var(txn.app) -m found }\n"
                "  http-request set-var(txn.id) req.hdr(x-request-id) "
                "if { req.hdr(x-request-id) -m reg ^[A-Za-z0-9-]{20,200}$ }\n"
                "  http-request set-var(txn.id) uuid unless { var(txn.id) -m found }\n"
                "  http-request set-header X-Request-Id %[var(txn.id)]\n"
                "  http-request set-header X-Request-Start %[date(0,ms)]\n"
                "  http-request set-header X-Forwarded-For %[src]\n"
                "  http-request set-header X-Forwarded-Proto http unless { ssl_fc }\n"
                "  http-request set-header X-Forwarded-Proto https if { ssl_fc }\n"
                "  http-request set-header X-Forwarded-Port %[dst_port]\n"
                "  http-request add-header Via \"%[req.ver] davit\"\n");
    buf_addf(b, "  use_backend api if { var(txn.host) -m str api.%s }\n", c->domain);
    buf_adds(b, "  use_backend %[var(txn.app),map_str(apps.map,H99)] if { var(txn.app) -m found }\n"
                "  default_backend unknown\n");
}

static void add_answers(struct buf *b, const struct config *c)
{
    static const enum gateway_error chosen[] = {GATEWAY_H10, GATEWAY_H14, GATEWAY_H20, GATEWAY_H80,
                                                GATEWAY_H99};
    buf_addf(b,
             "backend api\n"
             "  timeout server 1h\n"
             "  server api unix@../gateway-api.sock\n"
             "backend unknown\n"
             "  http-request return status 404 content-type text/html file %s/errors/404.html\n",
             c->data);
    for (size_t i = 0; i < ARRAY_LEN(chosen); i++) {
        const char *code = gateway_error_code(chosen[i]);
        buf_addf(b,
                 "backend %s\n"
                 "  http-request return status 503 content-type text/html file %s/errors/%s.html "
                 "hdr Davit-Error %s\n",
                 code, c->data, code, code);
    }
}

static void add_pool(struct buf *b, const struct state *s)
{
    for (size_t i = 1; i <= s->pool; i++) {
        buf_addf(b, "backend s%zu\n", i);
        char name[32];
        snprintf(name, sizeof(name), "s%zu", i);
        size_t n, first = state_servers_of(s, name, &n);
        for (size_t k = first; k < first + n; k++) {
            if (!s->servers[k].stopped)
                buf_addf(b, "  server %s %s " CONF_SERVER_ARGS "\n", s->servers[k].name,
                         s->servers[k].address);
        }
    }
}

static void add_settings(const struct config *c, struct conf_limits limits, struct buf *b)
{
    add_global(b, limits);
    add_defaults(b);
    add_frontend(b, c);
    add_answers(b, c);
}

/* FNV-1a */
static uint64_t fingerprint(struct str text)
{
    uint64_t h = 14695981039346656037ULL;
    for (size_t i = 0; i < text.len; i++)
        h = (h ^ (unsigned char)text.ptr[i]) * 1099511628211ULL;
    return h;
}

#define FIRST_LINE "# davit gateway, settings %016llx, pool %zu\n"

void conf_render(const struct config *c, struct conf_limits limits, const struct state *s,
                 struct buf *ret)
{
    _cleanup_(buf_release) struct buf settings = BUF_INIT;
    add_settings(c, limits, &settings);
    buf_addf(ret, FIRST_LINE, (unsigned long long)fingerprint(buf_str(&settings)), s->pool);
    buf_add(ret, settings.ptr, settings.len);
    add_pool(ret, s);
}

bool conf_matches(const struct config *c, struct conf_limits limits, struct str text,
                  size_t *ret_pool)
{
    _cleanup_(buf_release) struct buf settings = BUF_INIT;
    add_settings(c, limits, &settings);
    unsigned long long print;
    size_t pool;
    _cleanup_free_ char *line = xstrndup(text.ptr, MIN(text.len, (size_t)100));
    if (sscanf(line, FIRST_LINE, &print, &pool) != 2 || print != fingerprint(buf_str(&settings)))
        return false;
    *ret_pool = pool;
    return true;
}

void conf_render_table(const struct table *t, struct buf *ret)
{
    for (size_t i = 0; i < t->n; i++)
        buf_addf(ret, "%s %s\n", t->rows[i].key, t->rows[i].value);
}
