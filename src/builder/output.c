#include "builder/output.h"

#include <ctype.h>
#include <fcntl.h>

#include "base/visible.h"
#include "os/file.h"

enum { SECRET_MIN = 8 };

void output_to(struct output *o, int fd)
{
    *o = (struct output){.fd = fd, .line = BUF_CAP(OUTPUT_LINE_MAX)};
}

int output_open(struct output *o, const char *path, struct err *err)
{
    output_to(o, open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
    return o->fd < 0 ? err_errno(err, "opening %s", path) : 0;
}

void output_close(struct output *o)
{
    output_flush(o);
    closep(&o->fd);
    buf_release(&o->line);
    strv_release(&o->secrets);
    free(o->last);
    *o = (struct output){.fd = -1};
}

/* "production", "en_US": hiding such a word would hide nothing and spoil the text. */
static bool is_plain_word(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!isalpha((unsigned char)s.ptr[i]) && !strchr("-_. ", s.ptr[i]))
            return false;
    return true;
}

static int longest_first(const void *a, const void *b)
{
    size_t la = strlen(*(char *const *)a), lb = strlen(*(char *const *)b);
    return la < lb ? 1 : la > lb ? -1 : 0;
}

void output_hide(struct output *o, const struct map *vars)
{
    for (size_t i = 0; i < vars->n; i++) {
        struct str value = str_of(vars->items[i].value);
        while (value.ptr) {
            struct str line = str_trim(str_cut(&value, '\n'));
            if (line.len >= SECRET_MIN && !is_plain_word(line))
                strv_take(&o->secrets, xstrndup(line.ptr, line.len));
        }
    }
    if (o->secrets.n)
        qsort(o->secrets.items, o->secrets.n, sizeof(char *), longest_first);
}

static const char *secret_at(const struct output *o, struct str s)
{
    for (size_t i = 0; i < o->secrets.n; i++)
        if (str_starts(s, str_of(o->secrets.items[i])))
            return o->secrets.items[i];
    return NULL;
}

static void redact(const struct output *o, struct str s, struct buf *ret)
{
    if (!o->secrets.n)
        return buf_add(ret, s.ptr, s.len);
    while (s.len) {
        const char *secret = secret_at(o, s);
        size_t n = secret ? strlen(secret) : 1;
        buf_add(ret, secret ? "[redacted]" : s.ptr, secret ? strlen("[redacted]") : 1);
        s = (struct str){s.ptr + n, s.len - n};
    }
}

/* Says one line. The output is a courtesy: a full disk must not hide the error that follows. */
static void say(struct output *o, const char *mark, struct str text)
{
    if (o->fd < 0 || o->written > OUTPUT_MAX)
        return;
    _cleanup_(buf_release) struct buf hidden = BUF_CAP(4 * OUTPUT_LINE_MAX);
    _cleanup_(buf_release) struct buf b = BUF_CAP(32 * OUTPUT_LINE_MAX);
    redact(o, text, &hidden);
    buf_adds(&b, mark);
    visible_add(&b, buf_str(&hidden), VISIBLE_COLOURS); /* git prints it as it comes */
    buf_addc(&b, '\n');
    o->written += b.len;
    if (o->written > OUTPUT_MAX)
        buf_adds(&b, " !     The output is too long; the rest is left out\n");
    struct err ignored;
    fd_write_all(o->fd, b.ptr, b.len, &ignored);
}

static void say_each(struct output *o, const char *mark, const char *fmt, va_list ap)
{
    _cleanup_(buf_release) struct buf b = BUF_CAP(OUTPUT_LINE_MAX);
    buf_vaddf(&b, fmt, ap);
    output_flush(o);
    struct str rest = buf_str(&b);
    while (rest.ptr)
        say(o, mark, str_cut(&rest, '\n'));
}

#define DEFINE_SAY(name, mark)                                                                     \
    void output_##name(struct output *o, const char *fmt, ...)                                     \
    {                                                                                              \
        va_list ap;                                                                                \
        va_start(ap, fmt);                                                                         \
        say_each(o, mark, fmt, ap);                                                                \
        va_end(ap);                                                                                \
    }
DEFINE_SAY(step, "-----> ")
DEFINE_SAY(detail, "       ")
DEFINE_SAY(warning, " !     ")

void output_flush(struct output *o)
{
    if (!o->line.len)
        return;
    struct str line = buf_str(&o->line);
    free(o->last);
    o->last = xstrndup(line.ptr, line.len);
    say(o, "", line);
    buf_reset(&o->line);
}

/* Programs that draw progress go back to the start of the line with a CR: what it overwrites is
 * dropped, so that only the final state of the drawing is shown. */
static void add_char(struct output *o, char c)
{
    bool overwrites = o->line.len && o->line.ptr[o->line.len - 1] == '\r';
    if (overwrites)
        buf_reset(&o->line);
    else if (o->line.len == OUTPUT_LINE_MAX)
        output_flush(o);
    buf_addc(&o->line, c);
}

static void end_line(struct output *o)
{
    while (o->line.len && o->line.ptr[o->line.len - 1] == '\r')
        o->line.len--;
    if (o->line.len)
        output_flush(o);
    else
        say(o, "", STR(""));
    buf_reset(&o->line);
}

void output_feed(struct output *o, const char *data, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (data[i] == '\n')
            end_line(o);
        else
            add_char(o, data[i]);
    }
}
