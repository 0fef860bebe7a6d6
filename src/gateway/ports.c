#include "gateway/ports.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/time.h"
#include "os/port.h"

enum { PATIENCE_MS = 200 };

/* The address as bind() wants it; 0 if it is none of ours to judge (a name). */
static socklen_t address_of(const char *listen, int64_t port, struct sockaddr_storage *ret)
{
    struct sockaddr_in *four = (struct sockaddr_in *)ret;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret;
    *ret = (struct sockaddr_storage){0};
    if (inet_pton(AF_INET6, listen, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons((uint16_t)port);
        return sizeof(*six);
    }
    four->sin_family = AF_INET;
    four->sin_port = htons((uint16_t)port);
    if (streq(listen, "*") || inet_pton(AF_INET, listen, &four->sin_addr) == 1)
        return sizeof(*four);
    return 0;
}

int port_taken(struct err *err, const char *message)
{
    err_set(err, ERR_UNAVAILABLE, "%s", message);
    return err_hint(err, "another program has that port: stop it, or set http_port and https_port "
                         "in davit.conf");
}

static int check(const char *listen, int64_t port, int share, struct err *err)
{
    struct sockaddr_storage a;
    socklen_t n = address_of(listen, port, &a);
    _cleanup_close_ int fd = n ? socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
    const int on = 1;
    if (fd < 0)
        return 0;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &share, sizeof(share));
    if (bind(fd, (struct sockaddr *)&a, n) == 0 || errno != EADDRINUSE)
        return 0;
    struct port_holder holder;
    _cleanup_free_ char *who =
        port_holder(listen, port, &holder) ? port_holder_text(&holder) : xstrdup("another program");
    _cleanup_free_ char *message =
        xasprintf("%s:%lld: Address already in use by %s", listen, (long long)port, who);
    return port_taken(err, message);
}

int ports_check(const struct config *c, bool share, struct err *err)
{
    int r = check(c->listen, c->http_port, share, err);
    return r || !c->https_port ? r : check(c->listen, c->https_port, share, err);
}

int ports_await(const struct config *c, struct err *err)
{
    int64_t deadline = time_mono_ms() + PATIENCE_MS;
    int r;
    while ((r = ports_check(c, false, err)) < 0 && time_mono_ms() < deadline)
        poll(NULL, 0, 5);
    return r;
}
