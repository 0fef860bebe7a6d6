#include "shim/applog.h"

#include <errno.h>
#include <stdio.h>

void applog_init(struct applog *l, const char *path, const char *process, int64_t max,
                 int64_t files, const char *tail)
{
    l->process = process;
    log_file_init(&l->file, path, true, max, files);
    tail_init(&l->tail, tail);
}

void applog_release(struct applog *l)
{
    log_file_release(&l->file);
    tail_release(&l->tail);
}

/* Writes all of it, or as much as there is room for; returns how much. */
static size_t write_some(struct applog *l, const char *data, size_t n)
{
    size_t done = log_file_add(&l->file, data, n);
    if (done < n)
        l->error = errno;
    return done;
}

/* Before anything else goes in: ends a line that was cut short, and says what was dropped. */
static bool confess(struct applog *l)
{
    if (l->file.torn && write_some(l, "\n", 1) != 1)
        return false;
    if (!l->dropped)
        return true;
    char text[128];
    _cleanup_(buf_release) struct buf line = BUF_CAP(1024);
    snprintf(text, sizeof(text), "%llu lines were lost: %s", (unsigned long long)l->dropped,
             strerror(l->error));
    log_line_format("davit", l->process, str_of(text), &line);
    if (write_some(l, line.ptr, line.len) != line.len)
        return false;
    l->dropped = 0;
    return true;
}

static bool prepare(struct applog *l, size_t n)
{
    bool ready = log_file_prepare(&l->file, n);
    if (!ready)
        l->error = errno;
    return ready;
}

static void flush(struct applog *l)
{
    size_t done = 0;
    if (!l->filled)
        return;
    if (prepare(l, l->filled) && confess(l))
        done = write_some(l, l->out, l->filled);
    for (; done < l->filled; done++)
        l->dropped += l->out[done] == '\n';
    tail_add(&l->tail, l->out, l->filled);
    l->filled = 0;
}

/* One line into the buffer that is written next. */
static void emit(struct applog *l, const char *line, size_t n)
{
    if (sizeof(l->out) - l->filled < l->prefix_len + n + 1)
        flush(l);
    char *at = mempcpy(l->out + l->filled, l->prefix, l->prefix_len);
    char *end = mempcpy(at, line, n);
    while ((at = memchr(at, '\0', (size_t)(end - at))))
        *at = ' ';
    *end++ = '\n';
    l->filled = (size_t)(end - l->out);
}

/* Where to cut a line that is too long: not inside a UTF-8 character. */
static size_t cut_at(const char *line)
{
    for (size_t n = APPLOG_LINE_MAX; n > APPLOG_LINE_MAX - 4; n--)
        if (((unsigned char)line[n] & 0xc0) != 0x80)
            return n;
    return APPLOG_LINE_MAX;
}

/* The next line of what was read: its length, and how much to drop for it; false if it isn't whole
 * yet. */
static bool next_line(const char *at, size_t left, bool last, size_t *ret_len, size_t *ret_used)
{
    const char *end = memchr(at, '\n', MIN(left, (size_t)APPLOG_LINE_MAX + 1));
    if (end) {
        *ret_len = (size_t)(end - at);
        *ret_used = *ret_len + 1;
        return true;
    }
    if (left > APPLOG_LINE_MAX)
        *ret_len = *ret_used = cut_at(at);
    else
        *ret_len = *ret_used = left;
    return left > APPLOG_LINE_MAX || (last && left);
}

static void write_lines(struct applog *l, bool last)
{
    const char *at = l->in, *end = l->in + l->pending;
    struct str line = {0}, latest = {0};
    size_t used;
    l->prefix_len = log_line_prefix("app", l->process, l->prefix);
    for (; next_line(at, (size_t)(end - at), last, &line.len, &used); at += used) {
        line.ptr = at;
        emit(l, line.ptr, line.len);
        if (line.len && *line.ptr != ' ') /* else it only goes on with the one before */
            latest = line;
    }
    flush(l);
    if (latest.len)
        snprintf(l->last, sizeof(l->last), "%.*s", (int)latest.len, latest.ptr);
    l->pending = (size_t)(end - at);
    memmove(l->in, at, l->pending);
}

bool applog_read(struct applog *l, int pipe)
{
    ssize_t n = TEMP_FAILURE_RETRY(read(pipe, l->in + l->pending, sizeof(l->in) - l->pending));
    if (n <= 0)
        return false;
    l->pending += (size_t)n;
    write_lines(l, false);
    return true;
}

void applog_finish(struct applog *l) { write_lines(l, true); }

void applog_say(struct applog *l, const char *fmt, ...)
{
    _cleanup_(buf_release) struct buf text = BUF_CAP(4096);
    va_list ap;
    va_start(ap, fmt);
    buf_vaddf(&text, fmt, ap);
    va_end(ap);
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] == '\n')
            text.ptr[i] = ' ';
    l->prefix_len = log_line_prefix("davit", l->process, l->prefix);
    emit(l, buf_str(&text).ptr, text.len);
    flush(l);
}
