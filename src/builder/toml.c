#include "builder/toml.h"

#include <ctype.h>

enum { PATH_LEN_MAX = 200 }; /* longer ones are nobody's path */

static struct str skip(struct str s, size_t n) { return (struct str){s.ptr + n, s.len - n}; }

static bool is_quote(struct str s) { return s.len && (s.ptr[0] == '"' || s.ptr[0] == '\''); }

/* How many quotes open a text: one, or three if it may have several lines. */
static size_t quotes(struct str s)
{
    return s.len >= 3 && s.ptr[1] == s.ptr[0] && s.ptr[2] == s.ptr[0] ? 3 : 1;
}

/* The length of the text s begins with, its quotes included. One that isn't closed ends with its
 * line, or with the document. */
static size_t text_len(struct str s)
{
    size_t n = quotes(s), i = n, closing = 0;
    for (; i < s.len && closing < n; i++) {
        if (n == 1 && s.ptr[i] == '\n')
            return i;
        closing = s.ptr[i] == s.ptr[0] ? closing + 1 : 0;
        if (s.ptr[0] == '"' && s.ptr[i] == '\\')
            i++;
    }
    while (n == 3 && i < s.len && s.ptr[i] == s.ptr[0]) /* up to two may stand before the three */
        i++;
    return MIN(i, s.len);
}

static struct str inside_text(struct str s)
{
    size_t n = quotes(s), len = text_len(s);
    return len >= 2 * n ? (struct str){s.ptr + n, len - 2 * n} : (struct str){0};
}

/* Takes what stands before the first `end` outside of texts, brackets and comments, or all; `end`
 * itself goes, too. */
static struct str take(struct str *s, char end)
{
    size_t i = 0, depth = 0;
    while (i < s->len && (depth || s->ptr[i] != end)) {
        char c = s->ptr[i];
        if (is_quote(skip(*s, i))) {
            i += text_len(skip(*s, i));
        } else if (c == '#') {
            while (i < s->len && s->ptr[i] != '\n')
                i++;
        } else {
            if (c == '[' || c == '{')
                depth++;
            if ((c == ']' || c == '}') && depth)
                depth--;
            i++;
        }
    }
    struct str taken = {s->ptr, i};
    *s = skip(*s, MIN(i + 1, s->len));
    return str_trim(taken);
}

/* Adds a key, dotted or not, to what it is below. */
static void add_key(struct buf *path, struct str key)
{
    if (path->len)
        buf_addc(path, '.');
    for (size_t i = 0; i < key.len; i++)
        if (!isspace((unsigned char)key.ptr[i]) && !strchr("\"'", key.ptr[i]))
            buf_addc(path, key.ptr[i]);
}

/* "[a.b]", or "[[a.b]]". */
static void open_table(struct str line, struct buf *ret)
{
    buf_reset(ret);
    struct str rest = skip(line, line.len > 1 && line.ptr[1] == '[' ? 2 : 1);
    add_key(ret, take(&rest, ']'));
}

static char *find(struct str items, char end, const struct buf *above, struct str path);

static char *look_at(struct str item, const struct buf *above, struct str path)
{
    _cleanup_(buf_release) struct buf at = BUF_CAP(PATH_LEN_MAX);
    buf_add(&at, above->ptr, above->len);
    add_key(&at, take(&item, '='));
    struct str value = str_trim(item);
    if (at.overflow || above->overflow || at.len == above->len || !value.len)
        return NULL;
    if (is_quote(value) && str_eq(buf_str(&at), path)) {
        struct str text = inside_text(value);
        return text.ptr ? xstrndup(text.ptr, text.len) : NULL;
    }
    if (value.ptr[0] != '{' || !str_starts(path, buf_str(&at)))
        return NULL;
    value = skip(value, 1);
    return find(take(&value, '}'), ',', &at, path);
}

static char *find(struct str items, char end, const struct buf *above, struct str path)
{
    _cleanup_(buf_release) struct buf table = BUF_CAP(PATH_LEN_MAX);
    buf_add(&table, above->ptr, above->len);
    while (items.len) {
        struct str item = take(&items, end);
        if (end == '\n' && item.len && item.ptr[0] == '[') {
            open_table(item, &table);
            continue;
        }
        char *text = look_at(item, &table, path);
        if (text)
            return text;
    }
    return NULL;
}

char *toml_text(struct str document, const char *path)
{
    return document.len ? find(document, '\n', &BUF_CAP(PATH_LEN_MAX), str_of(path)) : NULL;
}
