#include "shim/network.h"

#include <fcntl.h>

#include "os/file.h"
#include "os/netlink.h"

/* No IPv6 on what comes (an app must not hear router advertisements), and any port for any user:
 * the namespace holds nothing but the app. */
static int settings(struct err *err)
{
    if (path_exists("/proc/sys/net/ipv6") &&
        file_set("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1", err) < 0)
        return -ERR_IO;
    return file_set("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0", err);
}

static int connect_bridge(const struct spec *s, int host, struct in_addr ip, struct err *err)
{
    _cleanup_close_ int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (here < 0)
        return err_errno(err, "opening the network namespace");
    struct netlink_veth veth = {s->hostif, s->bridge, "eth0", here, ip};
    int r = netlink_veth(host, &veth, err);
    if (r == -ERR_EXISTS && netlink_remove(host, s->hostif, err) == 0)
        r = netlink_veth(host, &veth, err);
    return r;
}

int network_up(const struct spec *s, int host, struct err *err)
{
    struct netlink_address ip = {0}, gateway = {0};
    if (s->ip && netlink_parse_address(s->ip, &ip, err) < 0)
        return err_wrap(err, "ip");
    if (s->gateway && netlink_parse_address(s->gateway, &gateway, err) < 0)
        return err_wrap(err, "gateway");
    _cleanup_close_ int nl = -1;
    int r = settings(err);
    if (!r)
        r = netlink_open(&nl, err);
    if (!r && !s->bridge)
        return netlink_configure(nl, NULL, ip, gateway.ip, err);
    if (!r)
        r = connect_bridge(s, host, ip.ip, err);
    return r ? r : netlink_configure(nl, "eth0", ip, gateway.ip, err);
}

int network_down(const struct spec *s, int host, struct err *err)
{
    return s->bridge ? netlink_remove(host, s->hostif, err) : 0;
}
