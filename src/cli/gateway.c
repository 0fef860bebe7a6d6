#include "cli/gateway.h"

#include <stdlib.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/table.h"
#include "os/port.h"

/* HAProxy's working folder is <run>/gateway, beside the socket. */
static bool is_ours(const struct cli *cli, pid_t pid)
{
    char at[4096];
    _cleanup_free_ char *link = xasprintf("/proc/%d/cwd", (int)pid), *socket = client_socket(cli);
    ssize_t n = readlink(link, at, sizeof(at));
    const char *slash = socket ? strrchr(socket, '/') : NULL;
    _cleanup_free_ char *dir =
        slash ? xasprintf("%.*s/gateway", (int)(slash - socket), socket) : xstrdup("");
    return n > 0 && str_eq((struct str){at, (size_t)n}, str_of(dir));
}

/* The gateway itself is a user that sees no process of others. */
static void name_holder(const struct cli *cli, const json_t *status, const char *field,
                        struct buf *ret)
{
    _cleanup_free_ char *listen = field_text(status, "listen"), *port = field_text(status, field);
    struct port_holder h;
    if (!port_holder(listen, atoi(port), &h) || !h.pid || is_ours(cli, h.pid))
        return;
    _cleanup_free_ char *who = port_holder_text(&h);
    buf_addf(ret, "port %s is held by %s; ", port, who);
}

bool gateway_is_ok(const json_t *status)
{
    _cleanup_free_ char *state = field_text(status, "gateway.state");
    return streq(state, "ok");
}

static void name_holders(const struct cli *cli, const json_t *status, struct buf *ret)
{
    if (!cli->client || !cli->client->socket)
        return;
    name_holder(cli, status, "http_port", ret);
    name_holder(cli, status, "https_port", ret);
}

bool gateway_is_blocked(const struct cli *cli, const json_t *status)
{
    _cleanup_(buf_release) struct buf holders = BUF_CAP(256);
    name_holders(cli, status, &holders);
    return holders.len;
}

int gateway_check(const struct cli *cli, const json_t *status, struct err *err)
{
    _cleanup_free_ char *state = field_text(status, "gateway.state"),
                        *message = field_text(status, "gateway.message"),
                        *hint = field_text(status, "gateway.hint");
    _cleanup_(buf_release) struct buf holders = BUF_CAP(256);
    if (!streq(state, "failing"))
        return 0;
    name_holders(cli, status, &holders);
    err_set(err, ERR_UNAVAILABLE, "the gateway: %s", message);
    return err_hint(err, "%s%s", holders.len ? holders.ptr : "", hint);
}
