#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/time.h"
#include "cli/client.h"
#include "cli/gateway.h"
#include "cli/table.h"

enum { RETRY_MS = 20, PATIENCE_MS = 1500 };

/* Sleeps until something happens beside the socket, or a moment has passed: between the birth of a
 * socket and its listening there is no event. */
static void wait_beside(const char *socket, int64_t until)
{
    _cleanup_close_ int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    _cleanup_free_ char *dir = xstrdup(socket);
    char *slash = strrchr(dir, '/');
    if (slash)
        *slash = '\0';
    int64_t left = MAX(until - time_mono_ms(), (int64_t)0);
    struct pollfd p = {fd, POLLIN, 0};
    bool watched = fd >= 0 && inotify_add_watch(fd, dir, IN_CREATE | IN_MOVED_TO | IN_ATTRIB) >= 0;
    poll(&p, watched, (int)MIN(left, (int64_t)RETRY_MS));
}

/* The API through the gateway, as git and browsers come: it knows us or asks who we are. */
static bool gateway_answers(const json_t *status)
{
    _cleanup_free_ char *domain = field_text(status, "domain"),
                        *port = field_text(status, "http_port");
    _cleanup_free_ char *url = xasprintf("http://127.0.0.1:%s/v1/status", port);
    _cleanup_free_ char *host = xasprintf("api.%s:%s", domain, port);
    struct http_request q = {.method = "GET", .url = url, .host = host, .timeout_ms = 2000};
    _cleanup_(http_response_release) struct http_response a = {0};
    return http_send(&q, &a, NULL) == 0 && (a.status == 200 || a.status == 401);
}

static int ask(struct cli *cli, int64_t until, json_t **ret, struct err *err)
{
    struct client *c;
    int r = client_get(cli, &c, err);
    while (r == 0 && (r = api_call(cli, "GET", "/v1/status", NULL, ret, err)) < 0 &&
           r == -ERR_UNAVAILABLE && time_mono_ms() < until) {
        if (c->socket)
            wait_beside(c->socket, until);
        else
            poll(NULL, 0, RETRY_MS);
        r = 0;
    }
    return r;
}

/* The gateway goes on trying, so a complaint is waited out; but not while another program has its
 * port, seen after a moment: what is said first may be of a davitd that was killed. */
static int await_gateway(struct cli *cli, int64_t until, json_t **status, struct err *err)
{
    int64_t patience = MIN(time_mono_ms() + PATIENCE_MS, until);
    while (!gateway_is_ok(*status) || !gateway_answers(*status)) {
        int64_t now = time_mono_ms();
        if (gateway_check(cli, *status, NULL) < 0 &&
            (now >= until || (now >= patience && gateway_is_blocked(cli, *status))))
            return 0;
        if (now >= until)
            return err_set(err, ERR_TIMEOUT, "the API answers, but not yet through the gateway");
        poll(NULL, 0, RETRY_MS);
        json_decref(*status);
        *status = NULL;
        int r = ask(cli, until, status, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Destroyed apps whose names are not free yet. */
static void print_remains(const json_t *status)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(status, "removing"), i, item)
    {
        _cleanup_free_ char *app = field_text(item, "app"), *names = field_text(item, "waits_for");
        printf("Removing app %s: waits for %s\n", app, names);
    }
}

int verb_status(struct cli *cli, struct err *err)
{
    static const struct column lines[] = {
        {"Version", "version", COLUMN_TEXT},
        {"You are", "user", COLUMN_TEXT},
        {"Role", "role", COLUMN_TEXT},
        {"Domain", "domain", COLUMN_TEXT},
        {"HTTP", "http_port", COLUMN_TEXT},
        {"HTTPS", "https_port", COLUMN_TEXT},
        {"Apps", "apps", COLUMN_TEXT},
        {"Instances", "instances", COLUMN_TEXT},
        {"Gateway", "gateway.state", COLUMN_TEXT},
        {0},
    };
    int64_t wait_s = 0, until = 0;
    int r = given(cli, OPT_WAIT) ? duration_parse(cli->values[OPT_WAIT], &wait_s, err) : 0;
    if (r < 0)
        return r;
    if (wait_s)
        until = time_mono_ms() + wait_s * 1000;
    json_auto_t *status = NULL;
    if ((r = ask(cli, until, &status, err)) < 0)
        return r;
    if (until && cli->client->socket && (r = await_gateway(cli, until, &status, err)) < 0)
        return r;
    fields_print(cli, status, lines);
    if (!given(cli, OPT_JSON))
        print_remains(status);
    return gateway_check(cli, status, err);
}

int verb_stacks(struct cli *cli, struct err *err)
{
    static const struct column columns[] = {
        {"STACK", "name", COLUMN_TEXT},           {"MADE", "made", COLUMN_WHEN},
        {"LOOKED AFTER", "checked", COLUMN_WHEN}, {"UPDATES WAIT", "updates", COLUMN_TEXT},
        {"BECAUSE", "error", COLUMN_TEXT},        {0},
    };
    json_auto_t *doc = NULL;
    int r = api_call(cli, "GET", "/v1/stacks", NULL, &doc, err);
    return r < 0 ? r : table_print(cli, doc, columns, "No stacks yet", err);
}
