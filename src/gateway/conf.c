#include "gateway/conf.h"

#include "gateway/errors.h"

const char *const table_files[TABLES] = {"hosts.map", "wild.map", "apps.map"};

/* What HAProxy answers by itself (its status, our page). The status the client sees is the page's.
 */
const struct conf_page conf_pages[] = {
    {400, "400 Bad Request", "400", NULL},
    {408, "408 Request Timeout", "400", NULL},
    {500, "503 Service Unavailable", "H99", "H99"},
    {502, "503 Service Unavailable", "H13", "H13"},
    {503, "503 Service Unavailable", "H21", "H21"},
    {504, "503 Service Unavailable", "H12", "H12"},
    {0},
};

/* The fields of a request's log line, separated by tabs: logline.c's enum field. The path is the
 * last, so that a line that is too long loses only its end. */
#define LOG_FORMAT(end)                                                                            \
    "%[var(txn.app)]\\t" end "\\t%ST\\t%b\\t%s\\t%HM\\t%[var(txn.host)]"                           \
    "\\t%[var(txn.id)]\\t%ci\\t%Tc\\t%Tr\\t%Td\\t%B\\t%HV\\t%sslv\\t%{+E}HU"

/* A connection needs two descriptors, an idle one to a server one more; the rest is for sockets
 * and tables. */
static uint64_t max_connections(struct conf_limits limits)
{
    uint64_t files = limits.files < 1000 ? 1000 : limits.files;
    return MIN((files - 500) / 3, (uint64_t)50000);
}

/* Log lines are kept within PIPE_BUF, or lines of two threads could mix. */
static void add_global(struct buf *b, const struct config *c, struct conf_limits limits)
{
    buf_addf(b,
             "global\n"
             "  stats socket unix@" CONF_SOCKET " mode 600 level admin expose-fd listeners\n"
             "  stats timeout 1m\n"
             "  maxconn %llu\n"
             "  nbthread %u\n"
             "  hard-stop-after 24h\n"
             /* of what a client uploads in HTTP/2; 64 KiB make it 8 times slower than HTTP/1.1 */
             "  tune.h2.initial-window-size 1048576\n"
             "  lua-load %s/gateway.lua\n"
             "  log stdout len 4000 format raw local0 info\n",
             (unsigned long long)max_connections(limits), MIN(limits.cpus, 64U), c->data);
    buf_adds(b, "  ssl-default-bind-options ssl-min-ver TLSv1.2\n"
                "  ssl-default-bind-ciphers ECDHE-ECDSA-AES128-GCM-SHA256:"
                "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
                "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:"
                "ECDHE-RSA-CHACHA20-POLY1305\n");
}

/* Sent again, to another instance if there is one, is what surely was not processed: connections
 * that failed, as often as it takes, since each failure takes an instance out; and once those of
 * requests that may be repeated (RFC 9110 §9.2.2) that ended without a byte of an answer. HAProxy
 * counts both alike; so the rules for responses, which run when a connection is established, note
 * that the request was sent, and watch over its second time (data/gateway.lua).
 *
 * No tcp-response rule waits the first time: while one does, HAProxy 2.6 passes the end of the
 * server's connection on to the client's, and nothing is sent again. So `timeout server` has to be
 * that for the first byte, which counts from the end of the request. HAProxy 3.0 can set another
 * for the silence later on, once there are headers; before, it is the same, but for those who ask
 * for a stream of events. */
static void add_defaults(struct buf *b, const struct config *c)
{
    buf_adds(b, "defaults common\n"
                "  mode http\n"
                "  timeout connect 5s\n"
                "  timeout http-request 30s\n"
                "  timeout http-keep-alive 55s\n"
                "  timeout client 55s\n"
                "  timeout server 30s\n"
                "  timeout tunnel 55s\n"
                "  option abortonclose\n"
                "  option http-no-delay\n");
    for (const struct conf_page *p = conf_pages; p->status; p++)
        buf_addf(b, "  errorfile %d %d.http\n", p->status, p->status);
    /* A refused connection fails at once, one that times out after 5 s. */
    buf_addf(b,
             "defaults app from common\n"
             "  http-error status 503 content-type \"text/html; charset=utf-8\" "
             "lf-file %s/errors/H21.html hdr Cache-Control no-store "
             "hdr Davit-Error %%[date(0,ms),sub(txn.start),div(4900),bool,iif(H19,H21)]\n",
             c->data);
    buf_adds(b, "  balance leastconn\n"
                "  retries 100\n"
                "  option redispatch 1\n"
                "  retry-on conn-failure empty-response\n"
                "  http-request disable-l7-retry unless METH_GET || "
                "{ method OPTIONS PUT DELETE }\n"
                "  tcp-response inspect-delay 1h\n"
                "  tcp-response content lua.once_more if { var(txn.sent) -m found }\n"
                "  tcp-response content set-var(txn.sent) bool(true)\n"
                "  http-request set-timeout server 55s "
                "if { req.hdr(accept) -m sub text/event-stream }\n"
                ".if version_atleast(3.0.0)\n"
                "  http-response set-timeout server 55s\n"
                ".endif\n");
}

static void add_return(struct buf *b, const struct config *c, const char *status, const char *page,
                       const char *condition)
{
    buf_addf(b,
             "  http-request return status %s content-type \"text/html; charset=utf-8\" "
             "file %s/errors/%s.html%s%s %s\n",
             status, c->data, page, *page == 'H' ? " hdr Davit-Error " : "",
             *page == 'H' ? page : "", condition);
}

#define WANTS(type) "if { req.hdr(accept) -m sub " type " } !{ req.hdr(accept) -m sub text/html }\n"

/* The same for programs and shells that say so by Accept; those that also take HTML get the page.
 */
static void add_return_text(struct buf *b, const char *status, const char *code,
                            const char *message, const char *hint)
{
    _cleanup_free_ char *header =
        *code == 'H' ? xasprintf("hdr Davit-Error %s ", code) : xstrdup("");
    buf_addf(b,
             "  http-request return status %s content-type application/json "
             "string '{\"code\":\"%s\",\"message\":\"%s\",\"hint\":\"%s\"}'\\n %s" WANTS(
                 "application/json"),
             status, code, message, hint, header);
    buf_addf(b,
             "  http-request return status %s content-type \"text/plain; charset=utf-8\" "
             "string '%s (%s)%s%s'\\n %s" WANTS("text/plain"),
             status, message, code, *hint ? ": " : "", hint, header);
}

/* One valid host[:port], as a whole: of a list other functions would take one value only. */
#define HOST_FORM "^([A-Za-z0-9._-]+|\\\\[[0-9A-Fa-f:.]+\\\\])(:[0-9]{1,5})?$"

/* What only a gateway may say, in all the spellings that CGI and its like make one variable of; and
 * Proxy, from which they make HTTP_PROXY. */
#define GATEWAY_HEADERS                                                                            \
    "^(x[-_](forwarded([-_].*)?|real[-_]ip|(cluster[-_])?client[-_]ip|request[-_]start)"           \
    "|x(_request[-_]|-request_)id|(true[-_])?client[-_]ip|forwarded|proxy([-_]connection)?)$"

/* Of Connection, which names headers for the next hop to drop, and Upgrade only WebSockets and the
 * like remain: HTTP/2 inside would be a way past this gateway. */
static void add_cleaning(struct buf *b)
{
    buf_adds(b, "  http-request del-header " GATEWAY_HEADERS " -m reg\n"
                "  http-request del-header upgrade if { req.fhdr(upgrade) -i -m sub h2 }\n"
                "  http-request del-header http2-settings\n"
                "  http-request del-header connection unless { req.fhdr(upgrade) -m found }\n"
                "  http-request set-header connection upgrade if { req.fhdr(upgrade) -m found }\n");
}

/* What both frontends do. Order and wording are for speed: every request comes through here. */
static void add_requests(struct buf *b, const struct config *c)
{
    buf_addf(b,
             "defaults web from common\n"
             "  log global\n"
             ".if version_atleast(3.0.0)\n"
             "  log-format \"%s\"\n"
             ".else\n"
             "  log-format \"%s\"\n"
             ".endif\n",
             LOG_FORMAT("%ts%[fc_err]"), LOG_FORMAT("%ts"));
    add_return(b, c, "405", "405", "if METH_CONNECT");
    add_return(b, c, "414", "414", "if { url_len gt 8192 }");
    add_return(b, c, "431", "431",
               "if { req.hdrs,length gt 8192 } { req.hdrs -m reg [^\\n]{8192} }");
    add_return(b, c, "400", "400",
               "unless { req.fhdr_cnt(host) eq 1 } { req.fhdr(host) -m reg " HOST_FORM " } || "
               "{ req.fhdr_cnt(host) eq 0 } { req.ver 1.0 }");
    buf_adds(b, "  http-request set-var(txn.start) date(0,ms)\n"
                "  http-request set-var(txn.host) req.fhdr(host),host_only,rtrim(.),lower\n"
                "  http-request set-var(txn.app) var(txn.host),map_str(hosts.map)\n"
                "  http-request set-var(txn.app) var(txn.host),field(2,.,0),map_str(wild.map) "
                "if !{ var(txn.app) -m found } { var(txn.host) -m reg ^[a-z0-9_-]+\\. }\n");
    add_cleaning(b);
    buf_adds(b, "  http-request set-header X-Request-Id %[uuid] unless "
                "{ req.fhdr_cnt(x-request-id) eq 1 } "
                "{ req.fhdr(x-request-id) -m reg ^[A-Za-z0-9-]{20,200}$ }\n"
                "  http-request set-var(txn.id) req.hdr(x-request-id)\n"
                "  http-request set-header X-Request-Start %[var(txn.start)]\n"
                "  http-request set-header X-Forwarded-For %[src]\n"
                "  http-request add-header Via \"%[req.ver] davit\"\n");
}

static void add_frontend(struct buf *b, const struct config *c, const char *scheme, int64_t port,
                         const char *options)
{
    const char *open = strchr(c->listen, ':') ? "[" : "", *close = *open ? "]" : "";
    buf_addf(b,
             "frontend %s from web\n"
             "  bind %s%s%s:%lld%s\n"
             "  http-request set-header X-Forwarded-Proto %s\n"
             "  http-request set-header X-Forwarded-Port %lld\n"
             "  use_backend api if { var(txn.host) -m str api.%s }\n"
             "  use_backend %%[var(txn.app),map_str(apps.map,H99),regsub(^s,g)] "
             "if { req.hdr(content-type) -m beg application/grpc } { var(txn.app) -m found }\n"
             "  use_backend %%[var(txn.app),map_str(apps.map,H99)] if { var(txn.app) -m found }\n"
             "  default_backend unknown\n",
             scheme, open, c->listen, close, (long long)port, options, scheme, (long long)port,
             c->domain);
}

/* Pushes and followed logs may last: only silence of an hour ends them. */
static void add_answers(struct buf *b, const struct config *c)
{
    static const enum gateway_error chosen[] = {GATEWAY_H10, GATEWAY_H14, GATEWAY_H20, GATEWAY_H80,
                                                GATEWAY_H99};
    buf_adds(b, "backend api from common\n"
                "  timeout server 1h\n"
                "  server api unix@../gateway-api.sock\n"
                "backend unknown from common\n");
    add_return_text(b, "404", "not_found", "no app answers at this address",
                    "davit apps and davit domains list what there is");
    add_return(b, c, "404", "404", "");
    for (size_t i = 0; i < ARRAY_LEN(chosen); i++) {
        const char *code = gateway_error_code(chosen[i]);
        buf_addf(b, "backend %s from common\n", code);
        add_return_text(b, "503", code, gateway_error_text(chosen[i]),
                        gateway_error_hint(chosen[i]));
        add_return(b, c, "503", code, "");
    }
}

static void add_backend(struct buf *b, const struct state *s, char kind, size_t number)
{
    char name[32];
    snprintf(name, sizeof(name), "s%zu", number);
    size_t n, first = state_servers_of(s, name, &n);
    buf_addf(b, "backend %c%zu from app\n", kind, number);
    if (kind == 'g') /* calls are streams */
        buf_adds(b, "  timeout server 55s\n");
    for (size_t i = first; i < first + n; i++) {
        if (!s->servers[i].stopped)
            buf_addf(b, "  server %s %s " CONF_SERVER_ARGS "%s\n", s->servers[i].name,
                     s->servers[i].address, kind == 'g' ? CONF_TWIN_ARGS : "");
    }
}

/* Each with its twin for gRPC: see command.h. */
static void add_pool(struct buf *b, const struct state *s)
{
    for (size_t i = 1; i <= s->pool; i++) {
        add_backend(b, s, 's', i);
        add_backend(b, s, 'g', i);
    }
}

static void add_settings(const struct config *c, struct conf_limits limits, struct buf *b)
{
    add_global(b, c, limits);
    add_defaults(b, c);
    add_requests(b, c);
    add_frontend(b, c, "http", c->http_port, "");
    if (c->https_port)
        add_frontend(b, c, "https", c->https_port, " ssl crt " CONF_CERT " alpn h2,http/1.1");
    add_answers(b, c);
}

/* FNV-1a of all that is not an app's: the settings, and the form of the pool. */
static uint64_t fingerprint(struct str settings)
{
    _cleanup_(state_release) struct state sample = {.pool = 1};
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    state_add_server(&sample, "s1", "name", "address");
    buf_add(&text, settings.ptr, settings.len);
    add_pool(&text, &sample);
    uint64_t h = 14695981039346656037ULL;
    for (size_t i = 0; i < text.len; i++)
        h = (h ^ (unsigned char)text.ptr[i]) * 1099511628211ULL;
    return h;
}

#define FIRST_LINE "# davit gateway, settings %016llx"

void conf_render(const struct config *c, struct conf_limits limits, const struct state *s,
                 struct buf *ret)
{
    _cleanup_(buf_release) struct buf settings = BUF_INIT;
    add_settings(c, limits, &settings);
    buf_addf(ret, FIRST_LINE "\n", (unsigned long long)fingerprint(buf_str(&settings)));
    buf_add(ret, settings.ptr, settings.len);
    add_pool(ret, s);
}

bool conf_matches(const struct config *c, struct conf_limits limits, struct str text)
{
    _cleanup_(buf_release) struct buf settings = BUF_INIT;
    add_settings(c, limits, &settings);
    unsigned long long print;
    _cleanup_free_ char *line = xstrndup(text.ptr, MIN(text.len, (size_t)100));
    return sscanf(line, FIRST_LINE, &print) == 1 && print == fingerprint(buf_str(&settings));
}

void conf_render_table(const struct table *t, struct buf *ret)
{
    for (size_t i = 0; i < t->n; i++)
        buf_addf(ret, "%s %s\n", t->rows[i].key, t->rows[i].value);
}

void conf_render_page(const struct conf_page *p, struct str html, struct buf *ret)
{
    buf_addf(ret,
             "HTTP/1.1 %s\r\nContent-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\n",
             p->line);
    if (p->code)
        buf_addf(ret, "Davit-Error: %s\r\n", p->code);
    buf_addf(ret, "Content-Length: %zu\r\n\r\n", html.len);
    buf_add(ret, html.ptr, html.len);
}
