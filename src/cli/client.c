#include "cli/client.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "cli/checkout.h"
#include "cli/credentials.h"
#include "cli/terminal.h"
#include "os/file.h"
#include "wire/url.h"

enum { CALL_TIMEOUT_MS = 60000, PAGE_ITEMS = 1000 };

void client_free(struct client *c)
{
    if (!c)
        return;
    free(c->url);
    free(c->socket);
    free(c->token);
    free(c);
}

static const char *of_environment(const char *name)
{
    const char *v = getenv(name);
    return v && *v ? v : NULL;
}

static const char *wanted(const struct cli *cli, enum option o, const char *variable)
{
    return cli->values[o] ? cli->values[o] : of_environment(variable);
}

char *client_socket(const struct cli *cli)
{
    const char *root = wanted(cli, OPT_ROOT, "DAVIT_ROOT");
    size_t n = root ? strlen(root) : 0;
    while (n && root[n - 1] == '/')
        n--;
    return xasprintf("%.*s/run/davit/davit.sock", (int)n, n ? root : "");
}

static struct client *at_socket(const struct cli *cli)
{
    struct client *c = xcalloc(1, sizeof(*c));
    *c = (struct client){.url = xstrdup("http://davit"), .socket = client_socket(cli)};
    return c;
}

static int at_url(const char *text, struct client **ret, struct err *err)
{
    struct url u;
    int r = url_split(text, &u, err);
    if (r < 0)
        return r;
    struct client *c = xcalloc(1, sizeof(*c));
    c->url = xasprintf("%.*s://%.*s", (int)u.scheme.len, u.scheme.ptr, (int)u.host.len, u.host.ptr);
    const char *token = of_environment("DAVIT_TOKEN");
    c->token = token ? xstrdup(token) : credentials_token(c->url);
    *ret = c;
    return 0;
}

static int choose(const struct cli *cli, struct client **ret, struct err *err)
{
    const char *url = wanted(cli, OPT_URL, "DAVIT_URL");
    if (url && !cli->values[OPT_ROOT])
        return at_url(url, ret, err);
    if (wanted(cli, OPT_ROOT, "DAVIT_ROOT")) {
        *ret = at_socket(cli);
        return 0;
    }
    _cleanup_free_ char *login = credentials_default();
    if (login)
        return at_url(login, ret, err);
    _cleanup_free_ char *socket = client_socket(cli), *remote = NULL;
    if (!path_exists(socket) && (remote = checkout_remote()))
        return at_url(remote, ret, err);
    *ret = at_socket(cli);
    return 0;
}

int client_get(struct cli *cli, struct client **ret, struct err *err)
{
    int r = cli->client ? 0 : choose(cli, &cli->client, err);
    if (r == 0)
        *ret = cli->client;
    return r;
}

char *api_path(const char *pattern, ...)
{
    struct buf b = BUF_INIT;
    va_list ap;
    va_start(ap, pattern);
    for (const char *p = pattern; *p; p++)
        if (*p == '%')
            url_add_component(&b, str_of(va_arg(ap, const char *)));
        else
            buf_addc(&b, *p);
    va_end(ap);
    return buf_take(&b);
}

static int unreachable(const struct client *c, int r, struct err *err)
{
    if (r != -ERR_UNAVAILABLE || !err)
        return r;
    if (c->socket)
        return err_hint(err, "is davitd running? Start it with `davitd` as root, or name another "
                             "Davit by --root, --url or `davit login`");
    return err_hint(err, "check the address, and that Davit runs there (`davit status` on it)");
}

/* {"code", "message", "hint"} as an error of ours; anything else by its status. */
static int refused(const struct client *c, const struct http_response *a, struct err *err)
{
    struct err unwanted = {0};
    err = err ? err : &unwanted;
    json_auto_t *doc = json_loadb(a->body.ptr ? a->body.ptr : "", a->body.len, 0, NULL);
    const char *message = json_string_value(json_object_get(doc, "message"));
    const char *hint = json_string_value(json_object_get(doc, "hint"));
    const char *code = json_string_value(json_object_get(doc, "code"));
    if (!message || !code) {
        err_set(err, ERR_UNAVAILABLE, "%s answered with status %d", c->url, a->status);
        return err_hint(err, "is this really the address of a Davit's API?");
    }
    err_set(err, err_code_from_name(code), "%s", message);
    /* Some of the API's hints are for those who write requests. */
    if (err->code == ERR_METHOD || (hint && strstr(hint, "/v1/"))) {
        err_set(err, ERR_NOT_FOUND, "the Davit there doesn't know what was asked for");
        err_hint(err, "is it of another version? `davit status` and `davit version` say so");
    } else if (err->code == ERR_UNAUTHENTICATED)
        err_hint(err, "sign in: davit login %s", c->url);
    else if (hint && *hint)
        err_hint(err, "%s", hint);
    return -(int)err->code;
}

static int send(struct cli *cli, struct http_request *q, const char *path,
                struct http_response *ret, struct err *err)
{
    struct client *c;
    int r = client_get(cli, &c, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *url = xasprintf("%s%s", c->url, path);
    q->url = url;
    q->socket = c->socket;
    q->token = c->token;
    r = http_send(q, ret, err);
    q->url = NULL;
    if (ret->status / 100 > 2)
        return refused(c, ret, err); /* what it answered says more than how it ended */
    return r < 0 ? unreachable(c, r, err) : 0;
}

static int call(struct cli *cli, const char *method, const char *path, json_t *body, json_t **ret,
                struct err *err)
{
    _cleanup_free_ char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    struct http_request q = {.method = method,
                             .content_type = text ? "application/json" : NULL,
                             .body = str_of(text),
                             .timeout_ms = CALL_TIMEOUT_MS};
    _cleanup_(http_response_release) struct http_response a = {0};
    int r = send(cli, &q, path, &a, err);
    if (r < 0 || !ret)
        return r;
    if (!a.body.len) {
        *ret = json_null();
        return 0;
    }
    json_error_t why;
    json_t *doc = json_loadb(a.body.ptr, a.body.len, 0, &why);
    if (!doc)
        return err_set(err, ERR_INVALID, "the answer is not JSON: %s", why.text);
    *ret = doc;
    return 0;
}

/* The further pages of a list, behind what is there of it. */
static int add_pages(struct cli *cli, const char *path, json_t *list, struct err *err)
{
    const char *next;
    int r = 0;
    while (r == 0 && (next = json_string_value(json_object_get(list, "next")))) {
        _cleanup_free_ char *after = api_path("after=%", next),
                            *url = xasprintf("%s%c%s&limit=%d", path, strchr(path, '?') ? '&' : '?',
                                             after, PAGE_ITEMS);
        json_auto_t *page = NULL;
        json_object_del(list, "next");
        if ((r = call(cli, "GET", url, NULL, &page, err)) < 0)
            break;
        json_array_extend(json_object_get(list, "items"), json_object_get(page, "items"));
        if (json_object_get(page, "next"))
            json_object_set(list, "next", json_object_get(page, "next"));
    }
    return r;
}

int api_call(struct cli *cli, const char *method, const char *path, json_t *body, json_t **ret,
             struct err *err)
{
    json_t *doc = NULL;
    int r = call(cli, method, path, body, ret ? &doc : NULL, err);
    if (r == 0 && doc)
        r = add_pages(cli, path, doc, err);
    if (r == 0 && ret)
        *ret = TAKE_PTR(doc);
    json_decref(doc);
    return r;
}

int app_call(struct cli *cli, const char *method, const char *pattern, json_t *body, json_t **ret,
             struct err *err)
{
    const char *app;
    int r = cli_app(cli, NULL, &app, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *path = api_path(pattern, app);
    return api_call(cli, method, path, body, ret, err);
}

static int to_file(void *ctx, const char *data, size_t n)
{
    FILE *f = ctx;
    return fwrite(data, 1, n, f) == n && fflush(f) == 0 ? 0 : -ERR_IO;
}

static int stream(struct cli *cli, struct http_request *q, const char *path,
                  struct http_response *ret, struct err *err)
{
    q->content_type = q->body_fd ? "application/x-tar" : NULL;
    fflush(stdout);
    return send(cli, q, path, ret, err);
}

int api_stream(struct cli *cli, const char *method, const char *path, int body_fd, stream_sink sink,
               void *ctx, struct err *err)
{
    struct http_request q = {.method = method,
                             .body_fd = body_fd,
                             .sink = sink ? sink : to_file,
                             .ctx = sink ? ctx : terminal_colours()};
    _cleanup_(http_response_release) struct http_response a = {0};
    return stream(cli, &q, path, &a, err);
}

int api_follow(struct cli *cli, const char *method, const char *path, int body_fd, stream_sink sink,
               void *ctx, const char *what, struct err *err)
{
    struct http_request q = {.method = method,
                             .body_fd = body_fd,
                             .sink = sink ? sink : to_file,
                             .ctx = sink ? ctx : terminal_colours()};
    _cleanup_(http_response_release) struct http_response a = {0};
    int r = stream(cli, &q, path, &a, err);
    if (r < 0)
        return r;
    struct str result = http_header(&a, "Davit-Result");
    if (str_eq(result, STR("succeeded")))
        return 0;
    if (str_eq(result, STR("unfinished"))) {
        err_set(err, ERR_TIMEOUT, "%s isn't finished yet, and goes on", what);
        return err_hint(err, "davit status says what it waits for");
    }
    if (!result.len)
        return err_set(err, ERR_IO, "%s: davitd broke off before saying how it went", what);
    return err_set(err, ERR_UNPROCESSABLE, "%s %.*s", what, (int)result.len, result.ptr);
}
