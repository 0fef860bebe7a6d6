#include "os/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/array.h"
#include "base/str.h"

/* Several requests, sent as one datagram and answered each by one acknowledgement. */
struct batch {
    _Alignas(NLMSG_ALIGNTO) char data[1024];
    size_t len, start; /* `start` of the request under construction */
    unsigned requests;
};

static void *append(struct batch *b, size_t n)
{
    size_t padded = NLMSG_ALIGN(n);
    if (sizeof(b->data) - b->len < padded)
        abort(); /* names and addresses are bounded: can't be */
    void *at = memset(b->data + b->len, 0, padded);
    b->len += padded;
    ((struct nlmsghdr *)(b->data + b->start))->nlmsg_len = (unsigned)(b->len - b->start);
    return at;
}

static void request(struct batch *b, unsigned short type, unsigned short flags, const void *body,
                    size_t n)
{
    b->start = b->len;
    b->requests++;
    struct nlmsghdr *h = append(b, NLMSG_HDRLEN);
    h->nlmsg_type = type;
    h->nlmsg_flags = (unsigned short)(NLM_F_REQUEST | NLM_F_ACK | flags);
    memcpy(append(b, n), body, n);
}

static void attr(struct batch *b, unsigned short type, const void *data, size_t n)
{
    struct rtattr *a = append(b, RTA_LENGTH(n));
    a->rta_type = type;
    a->rta_len = (unsigned short)RTA_LENGTH(n);
    if (n)
        memcpy(RTA_DATA(a), data, n);
}

static void attr_text(struct batch *b, unsigned short type, const char *s)
{
    attr(b, type, s, strlen(s) + 1);
}

/* Attributes inside an attribute: `nest` opens it, `nest_end` sets its length. */
static size_t nest(struct batch *b, unsigned short type)
{
    size_t at = b->len;
    attr(b, type, NULL, 0);
    return at;
}

static void nest_end(struct batch *b, size_t at)
{
    ((struct rtattr *)(b->data + at))->rta_len = (unsigned short)(b->len - at);
}

/* What the kernel says beyond the number, if anything. */
static const char *kernels_words(const struct nlmsghdr *h)
{
    if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
        return NULL;
    size_t head = NLMSG_LENGTH(sizeof(struct nlmsgerr));
    const struct nlmsgerr *e = NLMSG_DATA(h);
    if (!(h->nlmsg_flags & NLM_F_CAPPED))
        head += e->msg.nlmsg_len - sizeof(struct nlmsghdr);
    int left = (int)h->nlmsg_len - (int)head;
    for (const struct rtattr *a = (const void *)((const char *)h + head); RTA_OK(a, left);
         a = RTA_NEXT(a, left))
        if (a->rta_type == NLMSGERR_ATTR_MSG)
            return RTA_DATA(a);
    return NULL;
}

/* Reads the acknowledgements of all requests; returns the first errno among them, or 0, and the
 * kernel's words for it. */
static int answers(int nl, unsigned requests, char words[static 128])
{
    int first = 0;
    while (requests) {
        _Alignas(NLMSG_ALIGNTO) char in[4096];
        ssize_t n = TEMP_FAILURE_RETRY(recv(nl, in, sizeof(in), 0));
        if (n < 0)
            return errno;
        size_t left = (size_t)n;
        for (struct nlmsghdr *h = (void *)in; requests && NLMSG_OK(h, left);
             h = NLMSG_NEXT(h, left)) {
            if (h->nlmsg_type != NLMSG_ERROR)
                continue;
            requests--;
            const struct nlmsgerr *e = NLMSG_DATA(h);
            const char *said = kernels_words(h);
            if (!e->error || first)
                continue;
            first = -e->error;
            snprintf(words, 128, "%s", said ? said : "netlink");
        }
    }
    return first;
}

static int transact(int nl, struct batch *b, struct err *err)
{
    char words[128] = "netlink";
    int e = send(nl, b->data, b->len, 0) < 0 ? errno : answers(nl, b->requests, words);
    errno = e;
    return e ? err_errno(err, "%s", words) : 0;
}

int netlink_parse_address(const char *text, struct netlink_address *ret, struct err *err)
{
    struct str prefix = str_of(text), ip = str_cut(&prefix, '/');
    char plain[INET_ADDRSTRLEN];
    uint64_t bits = 32;
    struct in_addr addr;
    snprintf(plain, sizeof(plain), "%.*s", (int)ip.len, ip.ptr);
    if (ip.len >= sizeof(plain) || inet_pton(AF_INET, plain, &addr) != 1 ||
        (prefix.ptr && str_to_u64(prefix, 0, 32, &bits, NULL) < 0))
        return err_set(err, ERR_INVALID, "\"%s\" isn't an IPv4 address", text);
    *ret = (struct netlink_address){addr, (unsigned)bits};
    return 0;
}

int netlink_open(int *ret, struct err *err)
{
    _cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0)
        return err_errno(err, "opening a netlink socket");
    int on = 1; /* niceties: what fails here only makes answers longer or errors shorter */
    setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
    setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
    *ret = TAKE_FD(fd);
    return 0;
}

/* The number of the interface in the namespace of `nl`; 0 if there is none. */
static int link_index(int nl, const char *name)
{
    struct ifreq r = {0};
    if (strlen(name) >= sizeof(r.ifr_name))
        return 0;
    memcpy(r.ifr_name, name, strlen(name));
    return ioctl(nl, SIOCGIFINDEX, &r) < 0 ? 0 : r.ifr_ifindex;
}

bool netlink_exists(int nl, const char *name) { return link_index(nl, name) > 0; }

static int check_name(const char *name, struct err *err)
{
    if (!*name || strlen(name) >= IFNAMSIZ)
        return err_set(err, ERR_INVALID, "\"%s\" can't be the name of an interface", name);
    return 0;
}

static void add_up(struct batch *b, int index)
{
    struct ifinfomsg m = {.ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    request(b, RTM_NEWLINK, 0, &m, sizeof(m));
}

static void add_address(struct batch *b, int index, struct netlink_address a)
{
    struct ifaddrmsg m = {.ifa_family = AF_INET,
                          .ifa_prefixlen = (unsigned char)a.prefix,
                          .ifa_index = (unsigned)index};
    struct in_addr broadcast = {a.ip.s_addr};
    if (a.prefix < 31)
        broadcast.s_addr |= htonl(UINT32_MAX >> a.prefix);
    request(b, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &m, sizeof(m));
    attr(b, IFA_LOCAL, &a.ip, sizeof(a.ip));
    attr(b, IFA_ADDRESS, &a.ip, sizeof(a.ip));
    if (a.prefix < 31)
        attr(b, IFA_BROADCAST, &broadcast, sizeof(broadcast));
}

int netlink_bridge(int nl, const char *name, struct netlink_address address, struct err *err)
{
    int r = check_name(name, err);
    if (r < 0)
        return r;
    if (!netlink_exists(nl, name)) {
        struct batch b = {0};
        struct ifinfomsg m = {0};
        unsigned char mac[6] = {0x02, 0xda};
        uint32_t hash = 2166136261; /* FNV-1a */
        for (const char *c = name; *c; c++)
            hash = (hash ^ (unsigned char)*c) * 16777619;
        memcpy(mac + 2, &hash, 4);
        request(&b, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &m, sizeof(m));
        attr_text(&b, IFLA_IFNAME, name);
        attr(&b, IFLA_ADDRESS, mac, sizeof(mac));
        size_t info = nest(&b, IFLA_LINKINFO);
        attr_text(&b, IFLA_INFO_KIND, "bridge");
        nest_end(&b, info);
        r = transact(nl, &b, err);
        if (r < 0 && r != -ERR_EXISTS) /* another may have been quicker */
            return err_wrap(err, "making bridge %s", name);
    }
    struct batch b = {0};
    int index = link_index(nl, name);
    add_address(&b, index, address);
    add_up(&b, index);
    r = transact(nl, &b, err);
    return r < 0 ? err_wrap(err, "configuring bridge %s", name) : 0;
}

int netlink_veth(int nl, const struct netlink_veth *v, struct err *err)
{
    int r = check_name(v->host, err);
    if (!r)
        r = check_name(v->peer, err);
    if (r < 0)
        return r;
    int bridge = link_index(nl, v->bridge);
    if (!bridge)
        return err_set(err, ERR_NOT_FOUND, "there is no bridge %s", v->bridge);
    struct batch b = {0};
    struct ifinfomsg m = {.ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    unsigned char mac[6] = {0x02, 0xda};
    memcpy(mac + 2, &v->ip, 4);
    request(&b, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &m, sizeof(m));
    attr_text(&b, IFLA_IFNAME, v->host);
    attr(&b, IFLA_MASTER, &bridge, sizeof(bridge));
    size_t info = nest(&b, IFLA_LINKINFO);
    attr_text(&b, IFLA_INFO_KIND, "veth");
    size_t data = nest(&b, IFLA_INFO_DATA);
    size_t peer = nest(&b, VETH_INFO_PEER);
    append(&b, sizeof(m)); /* down: a veth can't be up before both its ends exist */
    attr_text(&b, IFLA_IFNAME, v->peer);
    attr(&b, IFLA_ADDRESS, mac, sizeof(mac));
    attr(&b, IFLA_NET_NS_FD, &v->netns, sizeof(v->netns));
    nest_end(&b, peer);
    nest_end(&b, data);
    nest_end(&b, info);
    r = transact(nl, &b, err);
    return r < 0 ? err_wrap(err, "making interface %s on bridge %s", v->host, v->bridge) : 0;
}

int netlink_configure(int nl, const char *link, struct netlink_address address,
                      struct in_addr gateway, struct err *err)
{
    int index = link ? link_index(nl, link) : 0;
    if (link && !index)
        return err_set(err, ERR_NOT_FOUND, "there is no interface %s", link);
    struct batch b = {0};
    add_up(&b, 1); /* lo, in every namespace */
    if (link) {
        add_address(&b, index, address);
        add_up(&b, index);
    }
    if (link && gateway.s_addr) {
        struct rtmsg route = {.rtm_family = AF_INET,
                              .rtm_table = RT_TABLE_MAIN,
                              .rtm_protocol = RTPROT_STATIC,
                              .rtm_scope = RT_SCOPE_UNIVERSE,
                              .rtm_type = RTN_UNICAST};
        request(&b, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &route, sizeof(route));
        attr(&b, RTA_GATEWAY, &gateway, sizeof(gateway));
        attr(&b, RTA_OIF, &index, sizeof(index));
    }
    int r = transact(nl, &b, err);
    return r < 0 ? err_wrap(err, "configuring interface %s", link ? link : "lo") : 0;
}

int netlink_remove(int nl, const char *name, struct err *err)
{
    struct ifinfomsg m = {.ifi_index = link_index(nl, name)};
    if (!m.ifi_index)
        return 0;
    struct batch b = {0};
    request(&b, RTM_DELLINK, 0, &m, sizeof(m));
    int r = transact(nl, &b, err);
    if (r == 0 || errno == ENODEV) /* gone meanwhile */
        return 0;
    return err_wrap(err, "removing interface %s", name);
}

/* The network of a route that leads away from `except`; false if it isn't one. */
static bool route_network(const struct nlmsghdr *h, int except, struct netlink_address *ret)
{
    const struct rtmsg *m = NLMSG_DATA(h);
    int left = (int)RTM_PAYLOAD(h), link = 0;
    if (h->nlmsg_type != RTM_NEWROUTE || m->rtm_family != AF_INET || !m->rtm_dst_len)
        return false;
    *ret = (struct netlink_address){.prefix = m->rtm_dst_len};
    for (const struct rtattr *a = RTM_RTA(m); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        if (a->rta_type == RTA_DST)
            memcpy(&ret->ip, RTA_DATA(a), sizeof(ret->ip));
        else if (a->rta_type == RTA_OIF)
            memcpy(&link, RTA_DATA(a), sizeof(link));
    }
    return !except || link != except;
}

int netlink_routes(int nl, const char *except, struct netlink_address **ret, size_t *ret_n,
                   struct err *err)
{
    struct {
        struct nlmsghdr header;
        struct rtmsg ask;
    } all = {.header = {.nlmsg_len = sizeof(all),
                        .nlmsg_type = RTM_GETROUTE,
                        .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
             .ask = {.rtm_family = AF_INET}};
    int index = link_index(nl, except);
    if (send(nl, &all, sizeof(all), 0) < 0)
        return err_errno(err, "asking for the routes");
    for (;;) {
        _Alignas(NLMSG_ALIGNTO) char in[32768];
        ssize_t n = TEMP_FAILURE_RETRY(recv(nl, in, sizeof(in), 0));
        if (n < 0)
            return err_errno(err, "asking for the routes");
        size_t left = (size_t)n;
        for (struct nlmsghdr *h = (void *)in; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
            struct netlink_address to;
            if (h->nlmsg_type == NLMSG_DONE)
                return 0;
            if (h->nlmsg_type == NLMSG_ERROR) {
                errno = -((const struct nlmsgerr *)NLMSG_DATA(h))->error;
                return err_errno(err, "asking for the routes");
            }
            if (!route_network(h, index, &to))
                continue;
            *array_add(*ret, *ret_n) = to;
        }
    }
}
