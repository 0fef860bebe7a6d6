#include "build/firewall.h"

#include "os/spawn.h"

enum { EPHEMERAL_PORTS = 32768 };

static char *table_name(const struct config *c)
{
    char *name = xasprintf("davit_build_%s", c->bridge);
    for (char *at = name; *at; at++)
        if (*at == '-' || *at == '.')
            *at = '_';
    return name;
}

/* The port of "http://host:3128/"; 0 if it names none. */
static uint64_t url_port(const char *url)
{
    uint64_t port = 0;
    struct str rest = str_of(url);
    const char *scheme = strstr(url, "://");
    if (scheme)
        rest = str_of(scheme + 3);
    struct str host = str_cut(&rest, '/');
    const char *colon = host.len ? memrchr(host.ptr, ':', host.len) : NULL;
    if (colon)
        str_to_u64((struct str){colon + 1, host.len - (size_t)(colon + 1 - host.ptr)}, 1, 65535,
                   &port, NULL);
    return port;
}

void firewall_rules(const struct config *c, const struct strv *proxies, struct buf *ret)
{
    _cleanup_free_ char *table = table_name(c);
    buf_addf(ret, "add table inet %s\ndelete table inet %s\ntable inet %s {\n", table, table,
             table);
    buf_adds(ret, " chain build {\n"
                  "  ip daddr 169.254.0.0/16 reject\n"
                  "  ip6 daddr fe80::/10 reject\n"
                  "  meta l4proto { tcp, udp } th dport 53 accept\n");
    for (size_t i = 0; i < proxies->n; i++)
        if (url_port(proxies->items[i]))
            buf_addf(ret, "  tcp dport %llu accept\n",
                     (unsigned long long)url_port(proxies->items[i]));
    /* Build tools talk to their own servers, on ports the kernel gave them. Whose server it is
     * shows when it answers: what others answer to a build is dropped. The mark of a connection
     * that a build began is our first uid, so that Davits with other users don't meddle. */
    long long first = c->uid_base, last = first + 65535;
    buf_addf(ret,
             "  oifname \"lo\" meta l4proto { tcp, udp } th dport < %d th sport >= %d reject\n"
             "  oifname \"lo\" meta l4proto { tcp, udp } th dport >= %d ct state new "
             "ct mark set %lld\n"
             "  oifname \"%s\" reject\n"
             " }\n",
             EPHEMERAL_PORTS, EPHEMERAL_PORTS, EPHEMERAL_PORTS, first, c->bridge);
    buf_addf(ret,
             " chain output {\n"
             "  type filter hook output priority filter; policy accept;\n"
             "  oifname \"lo\" ct mark %lld ct direction reply meta skuid != %lld-%lld drop\n"
             "  meta skuid %lld-%lld jump build\n"
             " }\n}\n",
             first, first, last, first, last);
}

static int nft(const struct buf *rules, struct err *err)
{
    const char *const argv[] = {"nft", "-f", "-", NULL};
    return spawn_run(argv, buf_str(rules), NULL, err);
}

int firewall_set(const struct config *c, struct err *err)
{
    static const char *const names[] = {"http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"};
    _cleanup_(strv_release) struct strv proxies = {0};
    _cleanup_(buf_release) struct buf rules = BUF_INIT;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (getenv(names[i]))
            strv_add(&proxies, getenv(names[i]));
    strv_add(&proxies, c->debian_mirror);
    firewall_rules(c, &proxies, &rules);
    int r = nft(&rules, err);
    return r ? err_wrap(err, "keeping builds off this machine's services") : 0;
}

int firewall_remove(const struct config *c, struct err *err)
{
    _cleanup_free_ char *table = table_name(c);
    _cleanup_(buf_release) struct buf rules = BUF_INIT;
    buf_addf(&rules, "add table inet %s\ndelete table inet %s\n", table, table);
    return nft(&rules, err);
}
