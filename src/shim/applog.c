#include "shim/applog.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

#include "base/time.h"
#include "os/below.h"
#include "os/file.h"

void applog_init(struct applog *l, const char *path, const char *process, uint64_t max,
                 unsigned files, const char *tail)
{
    l->path = path;
    l->process = process;
    l->max = max;
    l->files = files;
    tail_init(&l->tail, tail);
    l->dir = l->fd = -1;
}

static void close_log(struct applog *l)
{
    closep(&l->dir);
    closep(&l->fd);
    l->dir = l->fd = -1;
}

void applog_release(struct applog *l)
{
    close_log(l);
    tail_release(&l->tail);
}

/* The same file still, or was it renamed or removed? */
static bool is_current(const struct applog *l, const struct stat *st)
{
    return l->fd >= 0 && st->st_ino == l->opened.st_ino && st->st_dev == l->opened.st_dev;
}

static const char *name_of(const struct applog *l)
{
    const char *slash = strrchr(l->path, '/');
    return slash ? slash + 1 : l->path;
}

/* The log's folder is the app's, where user davit may write; the one above is root's. */
static int open_folder(const struct applog *l)
{
    const char *name = name_of(l);
    _cleanup_free_ char *dir = xstrndup(l->path, (size_t)(name - l->path));
    for (size_t n = strlen(dir); n > 1 && dir[n - 1] == '/'; n--)
        dir[n - 1] = '\0';
    char *slash = strrchr(dir, '/');
    if (!slash || slash == dir)
        return open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    *slash = '\0';
    dir_make(dir, 02750, NULL);
    _cleanup_close_ int above = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return above < 0 ? -1 : below_folder(above, slash + 1, 02750);
}

static bool reopen(struct applog *l)
{
    close_log(l);
    l->dir = open_folder(l);
    if (l->dir >= 0)
        l->fd = below_open(l->dir, name_of(l), O_WRONLY | O_APPEND | O_CREAT, 0640);
    if (l->fd < 0 || fstat(l->fd, &l->opened) < 0) {
        l->error = errno;
        return false;
    }
    return true;
}

/* log → log.1 → log.2 …, the oldest goes. Whoever holds the lock of the current file rotates it;
 * who comes second finds that it has another name by now. */
static bool rotate(struct applog *l)
{
    struct stat st;
    while (flock(l->fd, LOCK_EX) < 0 && errno == EINTR)
        ;
    const char *name = name_of(l);
    if (fstatat(l->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && is_current(l, &st)) {
        for (unsigned i = l->files - 1; i > 0; i--) {
            _cleanup_free_ char *from = i > 1 ? xasprintf("%s.%u", name, i - 1) : xstrdup(name);
            _cleanup_free_ char *to = xasprintf("%s.%u", name, i);
            if (renameat(l->dir, from, l->dir, to) < 0 && i == 1)
                return true; /* better too large than lost */
        }
        if (l->files == 1 && ftruncate(l->fd, 0) < 0)
            return true;
    }
    return reopen(l); /* closes the old one and so ends the lock */
}

/* Makes the log ready to take n more bytes. */
static bool prepare(struct applog *l, size_t n)
{
    struct stat st;
    if ((stat(l->path, &st) < 0 || !is_current(l, &st)) && (!reopen(l) || fstat(l->fd, &st) < 0))
        return false;
    if (st.st_size == 0 || (uint64_t)st.st_size + n <= l->max)
        return true;
    return rotate(l);
}

/* Writes all of it, or as much as there is room for; returns how much. */
static size_t write_some(struct applog *l, const char *data, size_t n)
{
    size_t done = 0;
    while (done < n) {
        ssize_t w = write(l->fd, data + done, n - done);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0) {
            l->error = w < 0 ? errno : ENOSPC;
            break;
        }
        done += (size_t)w;
    }
    if (done)
        l->torn = data[done - 1] != '\n';
    return done;
}

/* Before anything else goes in: ends a line that was cut short, and says what was dropped. */
static bool confess(struct applog *l)
{
    if (l->torn && write_some(l, "\n", 1) != 1)
        return false;
    if (!l->dropped)
        return true;
    char line[256], when[TIME_TEXT_LEN + 1];
    time_log_text(time_wall_us(), when);
    int n = snprintf(line, sizeof(line), "%s davit[%.64s]: %llu lines were lost: %s\n", when,
                     l->process, (unsigned long long)l->dropped, strerror(l->error));
    if (write_some(l, line, (size_t)n) != (size_t)n)
        return false;
    l->dropped = 0;
    return true;
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

static void set_prefix(struct applog *l, const char *source)
{
    char when[TIME_TEXT_LEN + 1];
    time_log_text(time_wall_us(), when);
    int n = snprintf(l->prefix, sizeof(l->prefix), "%s %s[%.64s]: ", when, source, l->process);
    l->prefix_len = (size_t)n;
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
    set_prefix(l, "app");
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
    set_prefix(l, "davit");
    emit(l, buf_str(&text).ptr, text.len);
    flush(l);
}
