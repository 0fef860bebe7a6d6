#include <stdio.h>

#include "base/time.h"
#include "cli/client.h"
#include "cli/table.h"
#include "wire/url.h"

static int add_since(struct buf *query, const char *text, struct err *err)
{
    char at[TIME_TEXT_LEN + 1];
    int64_t ago;
    if (time_parse(text) >= 0)
        time_rfc3339(time_parse(text), at);
    else {
        int r = duration_parse(text, &ago, err);
        if (r < 0)
            return r;
        time_rfc3339(time_wall_us() - ago * 1000000, at);
    }
    buf_addf(query, "&since=");
    url_add_component(query, str_of(at));
    return 0;
}

enum { LOG_LINES_MAX = 100000, EVENTS_MAX = 1000 }; /* what the API gives at once */

static int lines_wanted(const struct cli *cli, uint64_t max, uint64_t *ret, struct err *err)
{
    *ret = 100;
    const char *n = cli->values[OPT_LINES];
    int r = n ? str_to_u64(str_of(n), 0, max, ret, err) : 0;
    return r < 0 ? err_wrap(err, "--lines") : 0;
}

int verb_logs(struct cli *cli, struct err *err)
{
    const char *app;
    uint64_t n;
    int r = cli_app(cli, NULL, &app, err);
    if (r < 0 || (r = lines_wanted(cli, LOG_LINES_MAX, &n, err)) < 0)
        return r;
    _cleanup_free_ char *path = api_path("/v1/apps/%/logs", app);
    _cleanup_(buf_release) struct buf query = BUF_INIT;
    buf_addf(&query, "%s?n=%d%s", path, (int)n, given(cli, OPT_FOLLOW) ? "&follow=1" : "");
    if (given(cli, OPT_SINCE) && (r = add_since(&query, cli->values[OPT_SINCE], err)) < 0)
        return r;
    for (const int *o = (const int[]){OPT_PROCESS, OPT_SOURCE, -1}; *o >= 0; o++)
        if (cli->values[*o]) {
            buf_addf(&query, "&%s=", options[*o].long_name);
            url_add_component(&query, str_of(cli->values[*o]));
        }
    return api_stream(cli, "GET", query.ptr, 0, NULL, NULL, err);
}

static void print_event(const json_t *e)
{
    _cleanup_free_ char *when = field_text(e, "when"), *ago = when_text(when),
                        *who = field_text(e, "who"), *what = field_text(e, "what"),
                        *app = field_text(e, "app"), *detail = field_text(e, "detail");
    printf("%s  %s  %s  %s%s%s\n", ago, who, what, app, *app && *detail ? "  " : "", detail);
    fflush(stdout);
}

struct event_lines {
    struct buf partial;
    bool raw;
};

static int on_events(void *ctx, const char *data, size_t n)
{
    struct event_lines *lines = ctx;
    buf_add(&lines->partial, data, n);
    const char *end;
    while (lines->partial.len && (end = memchr(lines->partial.ptr, '\n', lines->partial.len))) {
        size_t len = (size_t)(end - lines->partial.ptr);
        json_auto_t *event = json_loadb(lines->partial.ptr, len, 0, NULL);
        if (event && !lines->raw)
            print_event(event);
        else if (len)
            printf("%.*s\n", (int)len, lines->partial.ptr);
        fflush(stdout);
        buf_consume(&lines->partial, len + 1);
    }
    return 0;
}

int verb_events(struct cli *cli, struct err *err)
{
    static const struct column columns[] = {
        {"WHEN", "when", COLUMN_WHEN},
        {"WHO", "who", COLUMN_TEXT},
        {"FROM", "from", COLUMN_TEXT},
        {"WHAT", "what", COLUMN_TEXT},
        {"APP", "app", COLUMN_TEXT},
        {"DETAIL", "detail", COLUMN_TEXT},
        {0},
    };
    uint64_t n;
    int r = lines_wanted(cli, EVENTS_MAX, &n, err);
    if (r < 0)
        return r;
    _cleanup_(buf_release) struct buf query = BUF_INIT;
    buf_addf(&query, "/v1/events?n=%d%s", (int)n, given(cli, OPT_FOLLOW) ? "&follow=1" : "");
    if (given(cli, OPT_APP)) {
        buf_adds(&query, "&app=");
        url_add_component(&query, str_of(cli->values[OPT_APP]));
    }
    if (given(cli, OPT_FOLLOW)) {
        struct event_lines lines = {.partial = BUF_INIT, .raw = given(cli, OPT_JSON)};
        r = api_stream(cli, "GET", query.ptr, 0, on_events, &lines, err);
        buf_release(&lines.partial);
        return r;
    }
    json_auto_t *doc = NULL;
    r = api_call(cli, "GET", query.ptr, NULL, &doc, err);
    return r < 0 ? r : table_print(cli, doc, columns, "Nothing has happened yet", err);
}
