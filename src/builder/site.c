#include "builder/site.h"

#include <ctype.h>
#include <strings.h>

#include "builder/tree.h"
#include "model/json_file.h"

/* Where there is no file: what try_files looks for when no route fits. */
#define NOWHERE "/.davit/none"

/* nginx takes words of up to 4096 bytes. */
enum { QUOTED_MAX = 4000, PATTERN_MAX = 1000, RULES_MAX = 1000, HEADERS_MAX = 100 };

struct writer {
    json_t *root;
    struct strv *warnings;
    char *folder;            /* the root */
    struct buf http, server; /* as in struct site */
    struct buf files,
        gone; /* rules of maps: path → the file of a route, the location of a redirect */
};

static int wrong(const char *path, const char *needed, struct err *err)
{
    return err_set(err, ERR_INVALID, "static.json: field '%.200s': %s", path, needed);
}

static void writer_release(struct writer *w)
{
    json_decref(w->root);
    free(w->folder);
    buf_release(&w->http);
    buf_release(&w->server);
    buf_release(&w->files);
    buf_release(&w->gone);
}

void site_release(struct site *s)
{
    free(s->root);
    free(s->http);
    free(s->server);
    *s = (struct site){0};
}

/* --- texts of nginx's configuration ---------------------------------------------------------- */

static int check_text(const char *path, const char *text, struct err *err)
{
    size_t quoted = 0;
    for (; *text; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return wrong(path, "a control character is not allowed", err);
        quoted += *text == '$' ? 4 : strchr("\"\\", *text) ? 2 : 1;
    }
    return quoted > QUOTED_MAX ? wrong(path, "that is too long", err) : 0;
}

/* One word of the configuration in which no variable is looked for: nginx knows no escape for '$',
 * so it is a variable itself. */
static void add_quoted(struct buf *b, const char *text)
{
    buf_addc(b, '"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            buf_addc(b, '\\');
        if (*text == '$')
            buf_adds(b, "${d}");
        else
            buf_addc(b, *text);
    }
    buf_addc(b, '"');
}

/* A regular expression that is all of a path: "*" is within one folder, "**" anything. */
static void add_pattern(struct buf *b, const char *pattern)
{
    buf_adds(b, "\"~(?s)^");
    for (; *pattern; pattern++) {
        if (*pattern == '*') {
            buf_adds(b, pattern[1] == '*' ? ".*" : "[^/]*");
            pattern += pattern[1] == '*';
        } else if (ispunct((unsigned char)*pattern)) {
            buf_addf(b, "\\\\%s%c", strchr("\"\\", *pattern) ? "\\" : "", *pattern);
        } else {
            buf_addc(b, *pattern);
        }
    }
    buf_adds(b, "\\\\z\"");
}

/* --- single fields --------------------------------------------------------------------------- */

static int get_text(json_t *o, const char *name, const char *path, const char **ret,
                    struct err *err)
{
    json_t *v = json_object_get(o, name);
    *ret = NULL;
    if (!v || json_is_null(v))
        return 0;
    if (!json_is_string(v))
        return wrong(path, "a text is needed", err);
    *ret = json_string_value(v);
    return check_text(path, *ret, err);
}

static int get_flag(struct writer *w, const char *name, bool *ret, struct err *err)
{
    json_t *v = json_object_get(w->root, name);
    *ret = json_is_true(v);
    return !v || json_is_null(v) || json_is_boolean(v)
               ? 0
               : wrong(name, "true or false is needed", err);
}

/* A path within the tree, or within the site. hidden: whether a name may begin with a dot. */
static int clean_path(const char *path, const char *text, bool hidden, char **ret, struct err *err)
{
    _cleanup_free_ char *clean = tree_path(text);
    struct str rest = str_of(clean);
    bool shown = clean, first = true;
    while (rest.ptr && !hidden && !streq(clean, ".")) {
        struct str part = str_cut(&rest, '/');
        shown &= part.ptr[0] != '.' || (first && str_eq(part, STR(".well-known")));
        first = false;
    }
    if (!shown)
        return wrong(path, "it leads out of the site", err);
    *ret = TAKE_PTR(clean);
    return 0;
}

static int read_root(struct writer *w, struct err *err)
{
    const char *text;
    int r = get_text(w->root, "root", "root", &text, err);
    return r || !text ? r : clean_path("root", text, true, &w->folder, err);
}

static int read_error_page(struct writer *w, struct err *err)
{
    const char *text;
    _cleanup_free_ char *page = NULL, *path = NULL;
    int r = get_text(w->root, "error_page", "error_page", &text, err);
    if (!r)
        r = clean_path("error_page", text ? text : "404.html", false, &page, err);
    if (r < 0)
        return r;
    path = xasprintf("/%s", page);
    buf_adds(&w->server, "error_page 404 ");
    add_quoted(&w->server, path);
    buf_adds(&w->server, ";\n");
    return 0;
}

static int read_encoding(struct writer *w, struct err *err)
{
    const char *text;
    int r = get_text(w->root, "encoding", "encoding", &text, err);
    if (r || !text)
        return r;
    for (const char *c = text; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("-_.:", *c))
            return wrong("encoding", "a name such as UTF-8 is needed", err);
    buf_adds(&w->server, "charset ");
    add_quoted(&w->server, text);
    buf_adds(&w->server, ";\n");
    return 0;
}

static int read_https_only(struct writer *w, int64_t port, struct err *err)
{
    bool only;
    int r = get_flag(w, "https_only", &only, err);
    if (r || !only)
        return r;
    if (!port) {
        strv_add(w->warnings,
                 "static.json: 'https_only' changes nothing here: this Davit serves no "
                 "HTTPS (https_port in davit.conf is 0)");
        return 0;
    }
    buf_adds(&w->server, "if ($http_x_forwarded_proto = http) {\n    return 301 https://$host");
    if (port != 443)
        buf_addf(&w->server, ":%lld", (long long)port);
    buf_adds(&w->server, "$request_uri;\n}\n");
    return 0;
}

/* A site that wants a password must not be open to everybody. */
static int refuse_passwords(struct writer *w, struct err *err)
{
    json_t *v = json_object_get(w->root, "basic_auth");
    if (!v || json_is_null(v) || json_is_false(v))
        return 0;
    wrong("basic_auth", "Davit's static sites know no passwords", err);
    return err_hint(err, "Without this field everybody can read the site. To ask for a password, "
                         "serve it by a program of your own");
}

/* --- rules: pattern → what ------------------------------------------------------------------- */

static int open_rules(struct writer *w, const char *name, json_t **ret, struct err *err)
{
    *ret = json_object_get(w->root, name);
    if (*ret && !json_is_null(*ret) && !json_is_object(*ret))
        return wrong(name, "an object is needed", err);
    return json_object_size(*ret) > RULES_MAX ? wrong(name, "those are too many", err) : 0;
}

static int check_pattern(const char *field, const char *pattern, struct err *err)
{
    if (pattern[0] != '/' && pattern[0] != '*')
        return wrong(field, "a path begins with '/'", err);
    if (strlen(pattern) > PATTERN_MAX)
        return wrong(field, "that is too long", err);
    return check_text(field, pattern, err);
}

static int add_redirect(struct writer *w, size_t i, const char *from, json_t *to, struct err *err)
{
    static const int64_t known[] = {301, 302, 303, 307, 308};
    static const struct json_key keys[] = {{"url", NULL}, {"status", NULL}, {0}};
    _cleanup_free_ char *path = xasprintf("redirects.%s", from);
    const char *url = NULL;
    json_t *status = json_object_get(to, "status");
    int64_t code = status ? json_integer_value(status) : 301;
    bool ok = false;
    int r = check_pattern(path, from, err);
    if (!r)
        r = get_text(to, "url", path, &url, err);
    if (r < 0)
        return r;
    for (size_t k = 0; k < ARRAY_LEN(known); k++)
        ok |= code == known[k];
    if (!url || !ok)
        return wrong(path, "a 'url' is needed, and as 'status' 301, 302, 303, 307 or 308", err);
    if (strstr(url, "${"))
        return wrong(path, "config variables can't be used in a 'url'", err);
    json_file_keys("static.json", path, to, keys, w->warnings);
    add_pattern(&w->gone, from);
    buf_addf(&w->gone, " @redirect%zu;\n", i);
    add_pattern(&w->files, from);
    buf_adds(&w->files, " " NOWHERE ";\n");
    buf_addf(&w->server, "location @redirect%zu {\n    return %lld ", i, (long long)code);
    add_quoted(&w->server, url);
    buf_adds(&w->server, ";\n}\n");
    return 0;
}

static int read_redirects(struct writer *w, struct err *err)
{
    json_t *all, *to;
    const char *from;
    size_t i = 0;
    int r = open_rules(w, "redirects", &all, err);
    if (r < 0)
        return r;
    json_object_foreach(all, from, to) if ((r = add_redirect(w, i++, from, to, err)) < 0) return r;
    return 0;
}

/* A route to a folder is one to nothing: so assets that are not there don't become index.html. */
static int add_route(struct writer *w, const char *from, json_t *to, struct err *err)
{
    _cleanup_free_ char *path = xasprintf("routes.%s", from), *file = NULL;
    const char *text = json_string_value(to);
    int r = check_pattern(path, from, err);
    if (!r)
        r = text ? check_text(path, text, err) : wrong(path, "the path of a file is needed", err);
    if (!r)
        r = clean_path(path, text, false, &file, err);
    if (r < 0)
        return r;
    bool folder = streq(file, ".") || text[strlen(text) - 1] == '/';
    _cleanup_free_ char *target = folder ? xstrdup(NOWHERE) : xasprintf("/%s", file);
    add_pattern(&w->files, from);
    buf_addc(&w->files, ' ');
    add_quoted(&w->files, target);
    buf_adds(&w->files, ";\n");
    return 0;
}

static int read_routes(struct writer *w, struct err *err)
{
    json_t *all, *to;
    const char *from;
    int r = open_rules(w, "routes", &all, err);
    if (r < 0)
        return r;
    json_object_foreach(all, from, to) if ((r = add_route(w, from, to, err)) < 0) return r;
    return 0;
}

/* --- headers --------------------------------------------------------------------------------- */

/* What nginx itself says of an answer would be there twice. */
static bool is_nginxs(const char *header)
{
    static const char *const names[] = {
        "Content-Type", "Content-Length", "Content-Encoding", "Transfer-Encoding", "Connection",
        "Date",         "Server",         "Keep-Alive",       "Trailer",           "Upgrade"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (!strcasecmp(header, names[i]))
            return true;
    return false;
}

static int check_header(const char *path, const char *name, json_t *value, struct err *err)
{
    for (const char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) &&
            !strchr("!#%&'*+-.^_`|~", *c)) /* RFC 9110 §5.6.2, no $ */
            return wrong(path, "the name of a header has letters, digits and '-'", err);
    if (!*name || strlen(name) > 100)
        return wrong(path, "the name of a header has 1 to 100 characters", err);
    if (!json_is_string(value))
        return wrong(path, "the value of a header is a text", err);
    return check_text(path, json_string_value(value), err);
}

static int check_headers(struct writer *w, const char *pattern, json_t *set, struct strv *names,
                         struct err *err)
{
    _cleanup_free_ char *path = xasprintf("headers.%s", pattern);
    const char *name;
    json_t *value;
    int r = check_pattern(path, pattern, err);
    if (!r && !json_is_object(set))
        r = wrong(path, "an object is needed", err);
    if (r < 0)
        return r;
    json_object_foreach(set, name, value)
    {
        if ((r = check_header(path, name, value, err)) < 0)
            return r;
        if (is_nginxs(name))
            strv_addf(w->warnings, "static.json: the header '%s' is nginx's own to set", name);
        else if (!strv_has(names, name))
            strv_add(names, name);
    }
    return names->n > HEADERS_MAX ? wrong("headers", "those are too many", err) : 0;
}

/* Of the patterns that fit, the last one's headers count, and no other's. */
static void write_sets(struct writer *w, json_t *all)
{
    _cleanup_(buf_release) struct buf rules = BUF_INIT;
    const char *pattern;
    json_t *set;
    size_t i = 0;
    json_object_foreach(all, pattern, set)
    {
        _cleanup_(buf_release) struct buf before = rules;
        rules = BUF_INIT;
        add_pattern(&rules, pattern);
        buf_addf(&rules, " %zu;\n", i++);
        buf_add(&rules, before.ptr, before.len);
    }
    buf_addf(&w->http, "map $uri $site_headers {\ndefault \"\";\n%s}\n",
             rules.ptr ? rules.ptr : "");
    /* Looked up before any internal redirect changes $uri, and kept from then on. */
    buf_adds(&w->server, "set $site_asked $site_headers;\n");
}

static void write_header(struct writer *w, json_t *all, size_t number, const char *name)
{
    const char *pattern;
    json_t *set;
    size_t i = 0;
    buf_addf(&w->http, "map $site_headers $header_%zu {\ndefault \"\";\n", number);
    json_object_foreach(all, pattern, set)
    {
        const char *value = json_string_value(json_object_get(set, name));
        if (value) {
            buf_addf(&w->http, "%zu ", i);
            add_quoted(&w->http, value);
            buf_adds(&w->http, ";\n");
        }
        i++;
    }
    buf_adds(&w->http, "}\n");
    buf_adds(&w->server, "add_header ");
    add_quoted(&w->server, name);
    buf_addf(&w->server, " $header_%zu always;\n", number);
}

static int read_headers(struct writer *w, struct err *err)
{
    _cleanup_(strv_release) struct strv names = {0};
    json_t *all, *set;
    const char *pattern;
    int r = open_rules(w, "headers", &all, err);
    if (r < 0)
        return r;
    json_object_foreach(all, pattern,
                        set) if ((r = check_headers(w, pattern, set, &names, err)) < 0) return r;
    if (names.n)
        write_sets(w, all);
    for (size_t i = 0; i < names.n; i++)
        write_header(w, all, i, names.items[i]);
    return 0;
}

/* --- all together ---------------------------------------------------------------------------- */

static int read_fields(struct writer *w, int64_t https_port, struct err *err)
{
    bool clean_urls;
    int r = get_flag(w, "clean_urls", &clean_urls, err);
    if (r < 0 || (r = refuse_passwords(w, err)) < 0 || (r = read_root(w, err)) < 0 ||
        (r = read_https_only(w, https_port, err)) < 0 || (r = read_encoding(w, err)) < 0 ||
        (r = read_error_page(w, err)) < 0 || (r = read_headers(w, err)) < 0 ||
        (r = read_redirects(w, err)) < 0 || (r = read_routes(w, err)) < 0)
        return r;
    buf_adds(&w->http, "geo $d {\ndefault \"$\";\n}\n");
    buf_addf(&w->http, "map $uri $site_file {\ndefault " NOWHERE ";\n%s}\n",
             w->files.ptr ? w->files.ptr : "");
    buf_addf(&w->http, "map $uri $site_gone {\ndefault @nothing;\n%s}\n",
             w->gone.ptr ? w->gone.ptr : "");
    buf_addf(&w->server,
             "location / {\n    try_files %s$uri $uri/ $site_file $site_gone;\n}\n"
             "location @nothing {\n    return 404;\n}\n",
             clean_urls ? "$uri.html " : "");
    int e = buf_check(&w->http, "static.json", err);
    return e ? e : buf_check(&w->server, "static.json", err);
}

int site_parse(struct str text, int64_t https_port, struct site *ret, struct strv *warnings,
               struct err *err)
{
    static const struct json_key keys[] = {
        {"root", NULL},
        {"error_page", NULL},
        {"clean_urls", NULL},
        {"routes", NULL},
        {"redirects", NULL},
        {"headers", NULL},
        {"https_only", NULL},
        {"encoding", NULL},
        {"basic_auth", NULL},
        {"logging", "the gateway logs every request"},
        {"proxies", "a static site passes no requests on"},
        {"canonical_host", "every domain of the app serves the site"},
        {0}};
    _cleanup_(writer_release) struct writer w = {.warnings = warnings,
                                                 .http = BUF_INIT,
                                                 .server = BUF_INIT,
                                                 .files = BUF_INIT,
                                                 .gone = BUF_INIT};
    int r = json_file_parse("static.json", text, STATIC_JSON_MAX, &w.root, err);
    if (r < 0)
        return r;
    json_file_keys("static.json", "", w.root, keys, warnings);
    r = read_fields(&w, https_port, err);
    if (!r)
        *ret = (struct site){TAKE_PTR(w.folder), buf_take(&w.http), buf_take(&w.server)};
    return r;
}
