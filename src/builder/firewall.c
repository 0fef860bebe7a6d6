#include "builder/firewall.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>

#include "os/spawn.h"

enum { IP_HEADER = 5, TCP_HEADER_MIN = 5, TCP_HEADER_MAX = 15 }; /* in words of four bytes */

/* Marks of connections that builds open to this machine: added to our first uid, so that Davits
 * with other users don't meddle. Those with the same agree: what one allows none refuses. */
enum { MARK_ASKED, MARK_TAKEN, MARK_REFUSED, MARK_ALLOWED };

static char *table_name(const struct config *c)
{
    char *name = xasprintf("davit_build_%s", c->bridge);
    for (char *at = name; *at; at++)
        if (*at == '-' || *at == '.')
            *at = '_';
    return name;
}

/* Splits "http://user@host:3128/" and "http://[::1]:3128"; false if it names no port. */
static bool parse_url(const char *url, char **ret_host, char **ret_port)
{
    uint64_t port;
    const char *scheme = strstr(url, "://");
    struct str rest = str_of(scheme ? scheme + 3 : url), host = str_cut(&rest, '/');
    const char *at = host.len ? memrchr(host.ptr, '@', host.len) : NULL;
    if (at)
        host = (struct str){at + 1, host.len - (size_t)(at + 1 - host.ptr)};
    const char *colon = host.len ? memrchr(host.ptr, ':', host.len) : NULL;
    if (!colon)
        return false;
    struct str digits = {colon + 1, host.len - (size_t)(colon + 1 - host.ptr)};
    host.len = (size_t)(colon - host.ptr);
    if (str_to_u64(digits, 1, 65535, &port, NULL) < 0)
        return false;
    if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        host = (struct str){host.ptr + 1, host.len - 2};
    *ret_host = xstrndup(host.ptr, host.len);
    *ret_port = xasprintf("%llu", (unsigned long long)port);
    return true;
}

void firewall_addresses(const char *url, struct strv *ret)
{
    _cleanup_free_ char *host = NULL, *port = NULL;
    struct addrinfo *found = NULL, hints = {.ai_socktype = SOCK_STREAM};
    if (!parse_url(url, &host, &port) || getaddrinfo(host, port, &hints, &found) != 0)
        return;
    for (const struct addrinfo *a = found; a; a = a->ai_next) {
        char address[INET6_ADDRSTRLEN];
        if (getnameinfo(a->ai_addr, a->ai_addrlen, address, sizeof(address), NULL, 0,
                        NI_NUMERICHOST) == 0)
            strv_addf(ret, a->ai_family == AF_INET6 ? "[%s]:%s" : "%s:%s", address, port);
    }
    freeaddrinfo(found);
}

/* "127.0.0.1:5000", "[::1]:5000"; false if it is no such thing. */
static bool parse_service(struct str word, char ret_host[INET6_ADDRSTRLEN], uint64_t *ret_port)
{
    unsigned char address[sizeof(struct in6_addr)];
    const char *colon = word.len ? memrchr(word.ptr, ':', word.len) : NULL;
    if (!colon)
        return false;
    struct str host = {word.ptr, (size_t)(colon - word.ptr)};
    struct str port = {colon + 1, word.len - host.len - 1};
    bool six = host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
    if (six)
        host = (struct str){host.ptr + 1, host.len - 2};
    if (host.len >= INET6_ADDRSTRLEN)
        return false;
    snprintf(ret_host, INET6_ADDRSTRLEN, "%.*s", (int)host.len, host.ptr);
    return str_to_u64(port, 1, 65535, ret_port, NULL) == 0 &&
           inet_pton(six ? AF_INET6 : AF_INET, ret_host, address) == 1;
}

/* What the machine's owner lets builds reach. */
static int add_services(const struct config *c, struct buf *ret, struct err *err)
{
    struct str rest = str_of(c->build_services);
    while (rest.ptr) {
        char host[INET6_ADDRSTRLEN];
        uint64_t port;
        struct str word = str_cut(&rest, ' ');
        if (!word.len)
            continue;
        if (!parse_service(word, host, &port)) {
            err_set(err, ERR_INVALID, "build_services: '%.*s' is no address with a port",
                    (int)MIN(word.len, (size_t)60), word.ptr);
            return err_hint(err, "Write build_services = 127.0.0.1:5000 [::1]:5000");
        }
        buf_addf(ret, "  %s daddr %s tcp dport %llu ct mark set %lld\n",
                 strchr(host, ':') ? "ip6" : "ip", host, (unsigned long long)port,
                 (long long)c->uid_base + MARK_ALLOWED);
    }
    return 0;
}

/* A SYN with data (TCP Fast Open) would be heard before anybody could be told by the answer: none
 * may be longer than its headers. */
static void add_syn_chain(const struct config *c, struct buf *ret)
{
    buf_adds(ret, " chain syn {\n  ip hdrlength != 5 reject with tcp reset\n");
    for (int words = TCP_HEADER_MIN; words <= TCP_HEADER_MAX; words++)
        buf_addf(ret,
                 "  tcp doff %d ip length != %d reject with tcp reset\n"
                 "  tcp doff %d ip6 length != %d reject with tcp reset\n",
                 words, 4 * (IP_HEADER + words), words, 4 * words);
    buf_addf(ret,
             "  ct mark %lld reject with tcp reset\n"
             "  ct mark set %lld\n"
             " }\n",
             (long long)c->uid_base + MARK_REFUSED, (long long)c->uid_base + MARK_ASKED);
}

/* What everybody has to let through. */
static int add_allowed_chain(const struct config *c, const struct strv *proxies, struct buf *ret,
                             struct err *err)
{
    char host[INET6_ADDRSTRLEN];
    uint64_t port;
    long long mark = c->uid_base + MARK_ALLOWED;
    buf_adds(ret, " chain allowed {\n");
    int r = add_services(c, ret, err);
    for (size_t i = 0; i < proxies->n; i++)
        if (parse_service(str_of(proxies->items[i]), host, &port))
            buf_addf(ret, "  oifname \"lo\" %s daddr %s tcp dport %llu ct mark set %lld\n",
                     strchr(host, ':') ? "ip6" : "ip", host, (unsigned long long)port, mark);
    buf_adds(ret, " }\n");
    return r;
}

/* What a build sends. Other hosts are open to it; of this machine what is allowed, and servers of
 * its own. */
static void add_build_chain(const struct config *c, struct buf *ret)
{
    long long first = c->uid_base;
    buf_addf(ret,
             " chain build {\n"
             "  ct mark %lld accept\n"
             "  oifname { \"%s\", \"davit*\" } reject\n"
             "  ip daddr { 169.254.0.0/16, 100.100.100.200 } reject\n" /* clouds' metadata */
             "  ip6 daddr { fe80::/10, fd00:ec2::254 } reject\n"
             "  fib daddr type { broadcast, multicast, anycast } reject\n"
             "  meta l4proto { tcp, udp } th dport 53 accept\n",
             first + MARK_ALLOWED, c->bridge);
    /* Its servers are there for builds alone. */
    buf_addf(ret,
             "  ct direction reply ct mark != %lld-%lld reject\n"
             "  oifname \"lo\" meta l4proto != tcp reject\n"
             "  oifname \"lo\" ct state untracked reject\n"
             "  oifname \"lo\" tcp flags & (syn | ack) == syn jump syn\n"
             " }\n",
             first + MARK_ASKED, first + MARK_REFUSED);
}

/* What this machine answers to a build. Whose the server is shows by the first packet it sends,
 * before it has got any data: it is a build's, or the connection ends. What the kernel serves
 * itself belongs to nobody. */
static void add_answer_chain(const struct config *c, struct buf *ret)
{
    long long first = c->uid_base, last = first + 65535;
    buf_addf(ret,
             " chain answer {\n"
             "  ct mark %lld accept\n"
             "  ct state related accept\n"
             "  tcp flags & rst == rst accept\n"
             "  meta skuid %lld-%lld ct mark set %lld accept\n"
             "  ct mark %lld reject with tcp reset\n"
             "  ct mark set %lld drop\n"
             " }\n",
             first + MARK_TAKEN, first, last, first + MARK_TAKEN, first + MARK_REFUSED,
             first + MARK_REFUSED);
}

int firewall_rules(const struct config *c, const struct strv *proxies, struct buf *ret,
                   struct err *err)
{
    _cleanup_free_ char *table = table_name(c);
    long long first = c->uid_base, last = first + 65535;
    buf_addf(ret, "add table inet %s\ndelete table inet %s\ntable inet %s {\n", table, table,
             table);
    int r = add_allowed_chain(c, proxies, ret, err);
    add_syn_chain(c, ret);
    add_build_chain(c, ret);
    add_answer_chain(c, ret);
    buf_addf(ret,
             " chain before {\n"
             "  type filter hook output priority filter - 1; policy accept;\n"
             "  ct direction original meta skuid %lld-%lld jump allowed\n"
             " }\n"
             " chain output {\n"
             "  type filter hook output priority filter; policy accept;\n"
             "  oifname \"lo\" ct direction reply ct mark %lld-%lld jump answer\n"
             "  meta skuid %lld-%lld jump build\n"
             " }\n}\n",
             first, last, first + MARK_ASKED, first + MARK_REFUSED, first, last);
    return r;
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
            firewall_addresses(getenv(names[i]), &proxies);
    firewall_addresses(c->debian_mirror, &proxies);
    int r = firewall_rules(c, &proxies, &rules, err);
    if (!r)
        r = nft(&rules, err);
    return r ? err_wrap(err, "keeping builds off this machine's services") : 0;
}

int firewall_remove(const struct config *c, struct err *err)
{
    _cleanup_free_ char *table = table_name(c);
    _cleanup_(buf_release) struct buf rules = BUF_INIT;
    buf_addf(&rules, "add table inet %s\ndelete table inet %s\n", table, table);
    return nft(&rules, err);
}
