#include "cli/table.h"

#include <libsmartcols.h>
#include <stdio.h>
#include <unistd.h>

#include "base/time.h"
#include "cli/terminal.h"

bool colour_wanted(void)
{
    const char *no = getenv("NO_COLOR");
    return isatty(STDOUT_FILENO) && !(no && *no);
}

void json_print(const json_t *doc)
{
    json_dumpf(doc, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
    putchar('\n');
}

static char *scalar_text(const json_t *value)
{
    if (json_is_string(value))
        return xstrdup(json_string_value(value));
    if (json_is_integer(value))
        return xasprintf("%lld", (long long)json_integer_value(value));
    if (json_is_boolean(value))
        return xstrdup(json_is_true(value) ? "yes" : "no");
    return xstrdup("");
}

static char *line_of(json_t *value)
{
    struct buf b = BUF_INIT;
    const char *name;
    json_t *item;
    size_t i;
    json_object_foreach(value, name, item)
    {
        _cleanup_free_ char *text = scalar_text(item);
        buf_addf(&b, "%s%s=%s", b.len ? ", " : "", name, text);
    }
    json_array_foreach(value, i, item)
    {
        _cleanup_free_ char *text =
            scalar_text(json_is_object(item) ? json_object_get(item, "host") : item);
        buf_addf(&b, "%s%s", b.len ? ", " : "", text);
    }
    return b.len ? buf_take(&b) : xstrdup("");
}

char *field_text(const json_t *item, const char *field)
{
    struct str rest = str_of(field);
    while (rest.ptr) {
        struct str part = str_cut(&rest, '.');
        item = json_object_getn(item, part.ptr, part.len);
    }
    return json_is_array(item) || json_is_object(item) ? line_of((json_t *)item)
                                                       : scalar_text(item);
}

char *when_text(const char *rfc3339)
{
    int64_t then = time_parse(rfc3339);
    if (then < 0 || !isatty(STDOUT_FILENO))
        return xstrdup(rfc3339);
    int64_t s = MAX((time_wall_us() - then) / 1000000, (int64_t)0);
    if (s < 60)
        return xasprintf("%ds ago", (int)s);
    if (s < 3600)
        return xasprintf("%dm ago", (int)(s / 60));
    if (s < 86400)
        return xasprintf("%dh ago", (int)(s / 3600));
    return xasprintf("%dd ago", (int)(s / 86400));
}

static const char *state_colour(const char *state)
{
    static const struct {
        const char *state, *colour;
    } all[] = {
        {"ok", "green"},        {"ready", "green"},     {"live", "green"},
        {"succeeded", "green"}, {"starting", "yellow"}, {"preparing", "yellow"},
        {"pending", "yellow"},  {"running", "yellow"},  {"draining", "cyan"},
        {"drained", "cyan"},    {"stopping", "cyan"},   {"warning", "yellow"},
        {"problem", "red"},     {"crashed", "red"},     {"failed", "red"},
        {"superseded", "gray"}, {"stopped", "gray"},    {"cancelled", "gray"},
    };
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (streq(all[i].state, state))
            return all[i].colour;
    return NULL;
}

static char *cell_text(const json_t *item, const struct column *c)
{
    _cleanup_free_ char *text = field_text(item, c->field);
    switch (c->style) {
    case COLUMN_WHEN: return when_text(text);
    case COLUMN_RELEASE: return !*text || streq(text, "0") ? xstrdup("-") : xasprintf("v%s", text);
    case COLUMN_NUMBER: return xstrdup(*text ? text : "0"); /* documents leave zeros out */
    case COLUMN_PROCESS: {
        _cleanup_free_ char *index = field_text(item, "index");
        return xasprintf("%s.%s", text, index);
    }
    default: return xstrdup(text);
    }
}

static void add_row(struct libscols_table *t, const json_t *item, const struct column *columns)
{
    struct libscols_line *line = scols_table_new_line(t, NULL);
    for (size_t i = 0; columns[i].title; i++) {
        char *text = terminal_text(cell_text(item, &columns[i]));
        if (columns[i].style == COLUMN_STATE)
            scols_cell_set_color(scols_line_get_cell(line, i), state_colour(text));
        scols_line_refer_data(line, i, text);
    }
}

void fields_print(const struct cli *cli, const json_t *doc, const struct column *columns)
{
    if (given(cli, OPT_JSON)) {
        json_print(doc);
        return;
    }
    for (const struct column *c = columns; c->title; c++) {
        _cleanup_free_ char *text = cell_text(doc, c);
        if (*text)
            printf("%-14s %s\n", c->title, text);
    }
}

int table_print(const struct cli *cli, const json_t *doc, const struct column *columns,
                const char *nothing, struct err *err)
{
    if (given(cli, OPT_JSON)) {
        json_print(doc);
        return 0;
    }
    json_t *items = json_object_get(doc, "items");
    if (!json_array_size(items)) {
        fprintf(stderr, "%s\n", nothing);
        return 0;
    }
    struct libscols_table *t = scols_new_table();
    if (!t)
        return err_set(err, ERR_INTERNAL, "no memory for a table");
    scols_table_enable_colors(t, colour_wanted());
    for (const struct column *c = columns; c->title; c++)
        scols_table_new_column(t, c->title, 0, c->style == COLUMN_NUMBER ? SCOLS_FL_RIGHT : 0);
    size_t i;
    json_t *item;
    json_array_foreach(items, i, item) add_row(t, item, columns);
    fflush(stdout);
    scols_table_set_stream(t, terminal_colours());
    scols_print_table(t);
    fflush(terminal_colours());
    scols_unref_table(t);
    return 0;
}
