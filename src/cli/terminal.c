#include "cli/terminal.h"

#include <unistd.h>

#include "base/visible.h"
#include "os/file.h"

struct guard {
    int fd;
    unsigned flags;
    char held[VISIBLE_UNFINISHED]; /* what has no end yet */
    size_t n;
};

static FILE *colours;

static ssize_t on_write(void *cookie, const char *data, size_t n)
{
    struct guard *g = cookie;
    _cleanup_(buf_release) struct buf in = BUF_INIT, out = BUF_INIT;
    buf_add(&in, g->held, g->n);
    buf_add(&in, data, n);
    size_t taken = visible_add(&out, buf_str(&in), g->flags | VISIBLE_MORE);
    g->n = MIN(in.len - taken, sizeof(g->held));
    memcpy(g->held, in.ptr + taken, g->n);
    return fd_write_all(g->fd, out.ptr, out.len, NULL) < 0 ? -1 : (ssize_t)n;
}

static FILE *guarded(FILE *plain, struct guard *g, int buffering)
{
    if (!isatty(g->fd))
        return plain;
    FILE *f = fopencookie(g, "w", (cookie_io_functions_t){.write = on_write});
    if (!f || setvbuf(f, NULL, buffering, BUFSIZ) != 0)
        abort();
    return f;
}

void terminal_guard(void)
{
    static struct guard out = {.fd = STDOUT_FILENO}, err = {.fd = STDERR_FILENO},
                        own = {.fd = STDOUT_FILENO, .flags = VISIBLE_COLOURS};
    colours = guarded(stdout, &own, _IOLBF);
    stdout = guarded(stdout, &out, _IOLBF);
    stderr = guarded(stderr, &err, _IOLBF);
}

FILE *terminal_colours(void) { return colours ? colours : stdout; }

char *terminal_text(char *text)
{
    if (!isatty(STDOUT_FILENO))
        return text;
    struct buf b = BUF_INIT;
    visible_add(&b, str_of(text), 0);
    free(text);
    return b.len ? buf_take(&b) : xstrdup("");
}
