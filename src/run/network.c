#include "run/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <sys/file.h>

#include "base/array.h"
#include "base/log.h"
#include "os/file.h"
#include "os/spawn.h"
#include "run/wayout.h"

void network_address(const struct network *n, uint16_t host, char ret[NETWORK_TEXT])
{
    uint32_t a = n->base | host;
    snprintf(ret, NETWORK_TEXT, "%u.%u.%u.%u", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
}

uint16_t network_host(const char *address)
{
    struct in_addr a;
    return inet_pton(AF_INET, address, &a) == 1 ? (uint16_t)(ntohl(a.s_addr) & 0xffff) : 0;
}

/* What tells this Davit's interfaces from others': "0" of davit0, "1a2b3c" of davit-1a2b3c. */
static const char *suffix(const char *bridge)
{
    static const char stem[] = "davit";
    const char *s = strncmp(bridge, stem, sizeof(stem) - 1) ? bridge : bridge + sizeof(stem) - 1;
    return s + (*s == '-');
}

char *network_hostif(const struct network *n, uint16_t host)
{
    return xasprintf("dv%.8s-%04x", suffix(n->bridge), host);
}

/* nft's identifiers are narrower than interface names. */
static char *table_name(const char *bridge)
{
    char *name = xasprintf("davit_%s", bridge);
    for (char *c = name; *c; c++)
        if (*c == '-' || *c == '.')
            *c = '_';
    return name;
}

void network_rules(const struct network *n, struct buf *ret)
{
    _cleanup_free_ char *table = table_name(n->bridge);
    char net[NETWORK_TEXT];
    network_address(n, 0, net);
    const char *b = n->bridge;
    buf_addf(ret, "add table inet %s\ndelete table inet %s\ntable inet %s {\n", table, table,
             table);
    buf_addf(ret,
             " chain input {\n"
             "  type filter hook input priority filter; policy accept;\n"
             "  iifname \"%s\" ct state established,related accept\n"
             "  iifname \"%s\" drop\n"
             " }\n",
             b, b);
    buf_addf(ret,
             " chain forward {\n"
             "  type filter hook forward priority filter; policy accept;\n"
             "  iifname \"%s\" ip saddr != %s/%d drop\n"
             "  iifname \"%s\" ip daddr 169.254.0.0/16 drop\n"
             "  iifname \"%s\" meta nfproto ipv6 drop\n"
             "  iifname \"%s\" oifname \"%s\" accept\n" /* where bridges call iptables */
             "  iifname \"%s\" oifname \"davit*\" drop\n"
             "  iifname \"%s\" accept\n"
             "  oifname \"%s\" ct state established,related accept\n"
             "  oifname \"%s\" drop\n"
             " }\n",
             b, net, NETWORK_PREFIX, b, b, b, b, b, b, b, b);
    buf_addf(ret,
             " chain postrouting {\n"
             "  type nat hook postrouting priority srcnat; policy accept;\n"
             "  ip saddr %s/%d oifname != \"%s\" masquerade\n"
             " }\n}\n",
             net, NETWORK_PREFIX, b);
}

/* ---- which network ---- */

static bool overlaps(uint32_t base, const struct netlink_address *a)
{
    unsigned prefix = MIN(a->prefix, (unsigned)NETWORK_PREFIX);
    uint32_t mask = prefix ? UINT32_MAX << (32 - prefix) : 0;
    return ((ntohl(a->ip.s_addr) ^ base) & mask) == 0;
}

static bool in_use(uint32_t base, const struct netlink_address *used, size_t n, unsigned narrowest)
{
    for (size_t i = 0; i < n; i++)
        if (used[i].prefix >= narrowest && overlaps(base, &used[i]))
            return true;
    return false;
}

/* The i-th to try: the wish, those after it, 172.16.0.0/12, 192.168.0.0/16. 0: there is no such
 * network, or it isn't a private one. */
static uint32_t candidate(uint32_t wish, unsigned i)
{
    uint32_t near = (wish & 0xff000000) | ((wish + (i << 16)) & 0xff0000);
    if (i < 256)
        return i == 0 || near >> 24 == 10 ? near : 0;
    return i < 272 ? 0xac100000 + ((i - 256) << 16) : 0xc0a80000;
}

uint32_t network_choose(uint32_t wish, const struct netlink_address *used, size_t n)
{
    /* If routes of others cover everything (10.0.0.0/8 of a VPN), part of a wide one has to go. */
    const unsigned rounds[] = {0, NETWORK_PREFIX};
    for (size_t r = 0; r < ARRAY_LEN(rounds); r++)
        for (unsigned i = 0; i < 273; i++) {
            uint32_t base = candidate(wish, i);
            if (base && !in_use(base, used, n, rounds[r]))
                return base;
        }
    return 0;
}

static bool interface_network(const struct ifaddrs *i, struct netlink_address *ret)
{
    if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET || !i->ifa_netmask)
        return false;
    const struct sockaddr_in *ip = (const void *)i->ifa_addr, *mask = (const void *)i->ifa_netmask;
    *ret =
        (struct netlink_address){ip->sin_addr, (unsigned)__builtin_popcount(mask->sin_addr.s_addr)};
    return true;
}

/* The networks of other interfaces, up or down; true if the bridge has one, which is *ret_own. */
static bool gather_interfaces(const struct ifaddrs *all, const char *bridge,
                              struct netlink_address **ret, size_t *ret_n, uint32_t *ret_own)
{
    struct netlink_address a;
    for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
        if (!interface_network(i, &a))
            continue;
        if (streq(i->ifa_name, bridge)) {
            *ret_own = ntohl(a.ip.s_addr) & 0xffff0000;
            return true;
        }
        *array_add(*ret, *ret_n) = a;
    }
    return false;
}

/* The network the bridge has, else the configured one, else another that is free. */
static int choose_base(const struct config *c, uint32_t *ret, struct err *err)
{
    struct netlink_address wish;
    _cleanup_free_ struct netlink_address *used = NULL;
    _cleanup_close_ int nl = -1;
    size_t n = 0;
    struct ifaddrs *all;
    int r = netlink_parse_address(c->network, &wish, err);
    if (r < 0 || wish.prefix != NETWORK_PREFIX)
        return err_set(err, ERR_INVALID, "network = %s: a network like 10.210.0.0/16 is needed",
                       c->network);
    if (getifaddrs(&all) < 0)
        return err_errno(err, "listing the interfaces");
    bool has_one = gather_interfaces(all, c->bridge, &used, &n, ret);
    freeifaddrs(all);
    if (has_one)
        return 0;
    if ((r = netlink_open(&nl, err)) < 0 || (r = netlink_routes(nl, c->bridge, &used, &n, err)) < 0)
        return r;
    uint32_t configured = ntohl(wish.ip.s_addr) & 0xffff0000;
    *ret = network_choose(configured, used, n);
    if (!*ret)
        return err_set(err, ERR_UNAVAILABLE, "every private network is in use");
    if (*ret != configured)
        log_warning("network %s is in use by others: taking another one", c->network);
    return 0;
}

/* ---- making it ---- */

static int make_bridge(const struct network *n, struct err *err)
{
    struct netlink_address address = {.ip.s_addr = htonl(n->base | 1), .prefix = NETWORK_PREFIX};
    _cleanup_close_ int nl = -1;
    int r = netlink_open(&nl, err);
    return r < 0 ? r : netlink_bridge(nl, n->bridge, address, err);
}

/* No IPv6 towards the instances: what has no rules has no door. */
static int quiet_ipv6(const struct network *n, struct err *err)
{
    _cleanup_free_ char *path = xasprintf("/proc/sys/net/ipv6/conf/%s/disable_ipv6", n->bridge);
    return path_exists(path) ? file_set(path, "1", err) : 0;
}

static int nft(const struct buf *rules, struct err *err)
{
    const char *const argv[] = {"nft", "-f", "-", NULL};
    return spawn_run(argv, buf_str(rules), NULL, err);
}

static int set_rules(const struct network *n, struct err *err)
{
    _cleanup_(buf_release) struct buf rules = BUF_CAP(8192);
    network_rules(n, &rules);
    return nft(&rules, err);
}

int network_repair(const struct network *n, struct err *err)
{
    _cleanup_free_ char *table = table_name(n->bridge);
    const char *const list[] = {"nft", "list", "table", "inet", table, NULL};
    if (spawn_run(list, (struct str){NULL, 0}, NULL, NULL) < 0) {
        log_warning("somebody removed nft table inet %s: made again", table);
        int r = set_rules(n, err);
        if (r < 0)
            return r;
    }
    return wayout_open(n->bridge, err);
}

static int make(const struct config *c, struct network *n, struct err *err)
{
    int r = choose_base(c, &n->base, err);
    if (r < 0 || (r = make_bridge(n, err)) < 0 || (r = quiet_ipv6(n, err)) < 0 ||
        (r = file_set("/proc/sys/net/ipv4/ip_forward", "1", err)) < 0)
        return r;
    return set_rules(n, err);
}

/* Several Davits may start at once and look for a free network. */
static int machine_lock(struct err *err)
{
    int fd = open("/run/davit-network.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX) < 0) {
        int r = err_errno(err, "locking /run/davit-network.lock");
        closep(&fd);
        return r;
    }
    return fd;
}

int network_ensure(const struct config *c, struct network *ret, struct err *err)
{
    struct network n = {.bridge = c->bridge};
    _cleanup_close_ int lock = machine_lock(err);
    if (lock < 0)
        return lock;
    int r = make(c, &n, err);
    if (r < 0)
        return err_wrap(err, "setting up the network of the instances");
    if (wayout_open(n.bridge, err) < 0) /* most of it works nevertheless */
        log_warning("the way out for instances: %s", err->msg);
    *ret = n;
    return 0;
}

int network_remove(const struct config *c, struct err *err)
{
    _cleanup_free_ char *table = table_name(c->bridge);
    _cleanup_(buf_release) struct buf rules = BUF_CAP(256);
    _cleanup_close_ int nl = -1;
    buf_addf(&rules, "add table inet %s\ndelete table inet %s\n", table, table);
    int r = nft(&rules, err);
    if (r < 0 || (r = wayout_close(c->bridge, err)) < 0 || (r = netlink_open(&nl, err)) < 0)
        return r;
    return netlink_remove(nl, c->bridge, err);
}
