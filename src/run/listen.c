#include "run/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>

enum { TCP_STATE_LISTEN = 10 };

enum reach { REACH_NONE, REACH_LOOPBACK, REACH_OTHERS };

static enum reach reach_v4(uint32_t address, uint32_t own)
{
    if (address == 0 || address == own)
        return REACH_OTHERS;
    return ntohl(address) >> 24 == 127 ? REACH_LOOPBACK : REACH_NONE;
}

static enum reach reach_v6(const uint32_t a[4], uint32_t own)
{
    if (a[0] || a[1])
        return REACH_NONE;
    if (a[2] == htonl(0xffff)) /* ::ffff:1.2.3.4 */
        return reach_v4(a[3], own);
    if (a[2])
        return REACH_NONE;
    return a[3] == 0 ? REACH_OTHERS : a[3] == htonl(1) ? REACH_LOOPBACK : REACH_NONE;
}

void listen_add(const struct inet_diag_msg *socket, uint16_t port, uint32_t address,
                struct listeners *ret)
{
    uint16_t at = ntohs(socket->id.idiag_sport);
    enum reach r = socket->idiag_family == AF_INET ? reach_v4(socket->id.idiag_src[0], address)
                                                   : reach_v6(socket->id.idiag_src, address);
    if (socket->idiag_state != TCP_STATE_LISTEN)
        return;
    if (at != port && r == REACH_OTHERS && (!ret->other_port || at < ret->other_port))
        ret->other_port = at;
    if (at == port && r == REACH_OTHERS)
        ret->reachable = true;
    if (at == port && r == REACH_LOOPBACK)
        ret->loopback = true;
}

int listen_open(pid_t pid, int *ret, struct err *err)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
    _cleanup_close_ int there = open(path, O_RDONLY | O_CLOEXEC);
    _cleanup_close_ int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (there < 0 || here < 0 || setns(there, CLONE_NEWNET) < 0)
        return err_errno(err, "entering the network of process %d", (int)pid);
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    int e = errno;
    if (setns(here, CLONE_NEWNET) < 0)
        abort(); /* everything we did from here on would be done to the instance */
    errno = e;
    if (fd < 0)
        return err_errno(err, "asking who listens");
    *ret = fd;
    return 0;
}

/* 1: there is more to come, 0: that was all. */
static int take_answers(const char *data, size_t len, uint16_t port, uint32_t address,
                        struct listeners *ret, struct err *err)
{
    const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)data;
    for (; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
        if (h->nlmsg_type == NLMSG_DONE)
            return 0;
        if (h->nlmsg_type == NLMSG_ERROR) {
            const struct nlmsgerr *e = NLMSG_DATA(h);
            errno = -e->error;
            return err_errno(err, "asking who listens");
        }
        if (h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
            listen_add(NLMSG_DATA(h), port, address, ret);
    }
    return 1;
}

static int look(int fd, unsigned char family, uint16_t port, uint32_t address,
                struct listeners *ret, struct err *err)
{
    struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 ask;
    } request = {.header = {.nlmsg_len = sizeof(request),
                            .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                            .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
                 .ask = {.sdiag_family = family,
                         .sdiag_protocol = IPPROTO_TCP,
                         .idiag_states = 1 << TCP_STATE_LISTEN}};
    if (send(fd, &request, sizeof(request), 0) < 0)
        return err_errno(err, "asking who listens");
    _Alignas(NLMSG_ALIGNTO) char data[16384];
    int r = 1;
    while (r > 0) {
        ssize_t n = TEMP_FAILURE_RETRY(recv(fd, data, sizeof(data), 0));
        if (n < 0)
            return err_errno(err, "asking who listens");
        r = take_answers(data, (size_t)n, port, address, ret, err);
    }
    return r;
}

int listen_look(int fd, uint16_t port, uint32_t address, struct listeners *ret, struct err *err)
{
    struct listeners l = {0};
    int r = look(fd, AF_INET, port, address, &l, err);
    if (!r && !l.reachable)
        r = look(fd, AF_INET6, port, address, &l, err);
    if (!r)
        *ret = l;
    return r;
}
