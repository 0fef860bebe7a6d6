#include "run/guard.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include "base/log.h"
#include "os/file.h"

struct guard {
    uv_poll_t changes;
    uv_timer_t delay;
    uv_work_t work;
    int fd;
    const struct network *network;
    bool working, again;
    struct err said; /* the worker's: the same trouble is told once */
};

static void on_delay_over(uv_timer_t *timer);

static void look_later(struct guard *g)
{
    if (g->working)
        g->again = true;
    else if (!uv_is_active((uv_handle_t *)&g->delay))
        uv_timer_start(&g->delay, on_delay_over, GUARD_DELAY_MS, 0);
}

static void repair(uv_work_t *work)
{
    struct guard *g = work->data;
    struct err err = {0};
    if (network_repair(g->network, &err) < 0 && !streq(err.msg, g->said.msg))
        log_warning("the instances' network: %s", err.msg);
    g->said = err;
}

static void on_repaired(uv_work_t *work, int status)
{
    (void)status;
    struct guard *g = work->data;
    g->working = false;
    if (g->again)
        look_later(g);
    g->again = false;
}

static void on_delay_over(uv_timer_t *timer)
{
    struct guard *g = timer->data;
    g->working = true;
    uv_queue_work(timer->loop, &g->work, repair, on_repaired);
}

/* What has changed doesn't matter, nor whether some of it was lost (ENOBUFS). */
static void on_change(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct guard *g = poll->data;
    char chunk[8192];
    while (recv(g->fd, chunk, sizeof(chunk), MSG_DONTWAIT) > 0)
        ;
    look_later(g);
}

static int listen_to_changes(int *ret, struct err *err)
{
    _cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    struct sockaddr_nl all = {.nl_family = AF_NETLINK, .nl_groups = 1 << (NFNLGRP_NFTABLES - 1)};
    if (fd < 0 || bind(fd, (struct sockaddr *)&all, sizeof(all)) < 0)
        return err_errno(err, "listening to changes of the firewall");
    *ret = TAKE_FD(fd);
    return 0;
}

int guard_start(uv_loop_t *loop, const struct network *n, struct err *err)
{
    int fd = -1, r = listen_to_changes(&fd, err);
    if (r < 0)
        return r;
    struct guard *g = xcalloc(1, sizeof(*g));
    *g = (struct guard){.fd = fd, .network = n};
    uv_poll_init(loop, &g->changes, fd);
    uv_timer_init(loop, &g->delay);
    g->changes.data = g->delay.data = g->work.data = g;
    return uv_poll_start(&g->changes, UV_READABLE, on_change);
}
