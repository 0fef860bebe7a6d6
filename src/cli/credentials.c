#include "cli/credentials.h"

#include <jansson.h>
#include <sys/stat.h>

#include "base/str.h"
#include "os/file.h"

enum { CREDENTIALS_MAX = 1 << 20 };

static char *folder(void)
{
    const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    if (xdg && *xdg == '/')
        return xasprintf("%s/davit", xdg);
    return xasprintf("%s/.config/davit", home && *home ? home : "/root");
}

static json_t *load(void)
{
    _cleanup_free_ char *dir = folder(), *path = xasprintf("%s/credentials.json", dir);
    _cleanup_(buf_release) struct buf text = BUF_CAP(CREDENTIALS_MAX);
    if (file_read(path, &text, NULL) < 0)
        return NULL;
    return json_loadb(text.ptr ? text.ptr : "", text.len, 0, NULL);
}

static char *copy(const json_t *string)
{
    const char *s = json_string_value(string);
    return s ? xstrdup(s) : NULL;
}

char *credentials_token(const char *server)
{
    json_auto_t *doc = load();
    return copy(json_object_get(json_object_get(doc, "tokens"), server));
}

char *credentials_default(void)
{
    json_auto_t *doc = load();
    return copy(json_object_get(doc, "default"));
}

char *credentials_gitconfig(void)
{
    _cleanup_free_ char *dir = folder();
    return xasprintf("%s/gitconfig", dir);
}

/* Nothing that would need quoting in git's configuration. */
static bool is_plain(const char *s)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                ":/.-_[]+=";
    return s && *s && !s[strspn(s, plain)];
}

static int write_gitconfig(json_t *tokens, struct err *err)
{
    _cleanup_free_ char *path = credentials_gitconfig();
    _cleanup_(buf_release) struct buf b = BUF_CAP(CREDENTIALS_MAX);
    const char *server;
    json_t *token;
    buf_adds(&b, "# Written by davit; included by the checkouts that push to it.\n");
    json_object_foreach(tokens, server, token)
    {
        const char *secret = json_string_value(token);
        if (is_plain(server) && is_plain(secret))
            buf_addf(&b, "[http \"%s/\"]\n\textraHeader = Authorization: Bearer %s\n", server,
                     secret);
    }
    return file_write_atomic(path, buf_str(&b), 0600, err);
}

int credentials_store(const char *server, const char *token, bool make_default, struct err *err)
{
    json_auto_t *doc = load();
    if (!json_is_object(doc)) {
        json_decref(doc);
        doc = json_object();
    }
    json_t *tokens = json_object_get(doc, "tokens");
    if (!json_is_object(tokens)) {
        tokens = json_object();
        json_object_set_new(doc, "tokens", tokens);
    }
    if (token)
        json_object_set_new(tokens, server, json_string(token));
    else {
        json_object_del(tokens, server);
        const char *standard = json_string_value(json_object_get(doc, "default"));
        if (standard && streq(standard, server))
            json_object_del(doc, "default");
    }
    if (token && make_default)
        json_object_set_new(doc, "default", json_string(server));
    _cleanup_free_ char *dir = folder(), *path = xasprintf("%s/credentials.json", dir);
    _cleanup_free_ char *text = json_dumps(doc, JSON_INDENT(2));
    int r = dir_make(dir, 0700, err);
    if (r < 0 || (r = file_write_atomic(path, str_of(text), 0600, err)) < 0)
        return r;
    return write_gitconfig(tokens, err);
}
