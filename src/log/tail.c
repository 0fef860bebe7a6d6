#include "log/tail.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "os/file.h"

void tail_init(struct tail *t, const char *path) { *t = (struct tail){.path = path, .fd = -1}; }

void tail_release(struct tail *t)
{
    closep(&t->fd);
    tail_init(t, NULL);
}

static bool is_linked(int fd)
{
    struct stat st;
    return fd >= 0 && fstat(fd, &st) == 0 && st.st_nlink;
}

/* Whether somebody still wants it. */
static bool is_there(struct tail *t)
{
    if (t->fd < 0)
        t->fd = open(t->path, O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
    return is_linked(t->fd);
}

static bool rotate(struct tail *t)
{
    _cleanup_free_ char *older = xasprintf("%s.1", t->path);
    if (rename(t->path, older) < 0)
        return false;
    _cleanup_close_ int old = t->fd;
    t->size = 0;
    t->fd = open(t->path, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool wanted = is_linked(old); /* else the new one was made behind the back of who removed it */
    if (!wanted)
        unlink(t->path);
    return wanted && t->fd >= 0;
}

void tail_add(struct tail *t, const char *lines, size_t n)
{
    if (n > TAIL_MAX) { /* what there is room for, from the start of a line */
        const char *end = lines + n, *from = memchr(end - TAIL_MAX, '\n', TAIL_MAX);
        lines = from + 1;
        n = (size_t)(end - lines);
    }
    if (!t->path)
        return;
    if (!is_there(t) || (t->size + n > TAIL_MAX && !rotate(t)) || write(t->fd, lines, n) < 0)
        tail_release(t);
    t->size += n;
}

int tail_want(const char *path, struct err *err)
{
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return fd < 0 ? err_errno(err, "creating %s", path) : 0;
}

void tail_read(const char *path, struct strv *ret)
{
    _cleanup_(buf_release) struct buf text = BUF_CAP(3 * TAIL_MAX);
    _cleanup_free_ char *older = xasprintf("%s.1", path);
    file_read(older, &text, NULL);
    file_read(path, &text, NULL);
    for (struct str rest = buf_str(&text); rest.len;) {
        struct str line = str_cut(&rest, '\n');
        strv_take(ret, xstrndup(line.ptr, line.len));
    }
}

/* A new one may come between the first two. */
void tail_forget(const char *path)
{
    _cleanup_free_ char *older = xasprintf("%s.1", path);
    unlink(path);
    unlink(older);
    unlink(path);
}
