#include "log/chain.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/array.h"
#include "log/line.h"

enum { BLOCK = 2 * LOG_LINE_CAP, ROTATED_MAX = 100 };

/* One file of a chain. */
struct part {
    int fd;
    ino_t inode;
};

struct log_chain {
    char *path;         /* …/web.1.log */
    struct part *parts; /* newest first */
    size_t n_parts, at; /* at: the part being read */
    unsigned next_rotated;
    bool oldest_open;
    /* The window: bytes of the part from `start`. Both are offsets in the file, as is the place we
     * are at. */
    char *block;
    off_t start, place;
    size_t len;
    off_t next; /* the place beyond the line looked at last */
};

/* --- files ----------------------------------------------------------------------------------- */

static bool has_part(const struct log_chain *c, ino_t inode)
{
    for (size_t i = 0; i < c->n_parts; i++)
        if (c->parts[i].inode == inode)
            return true;
    return false;
}

/* Opens a file unless the chain has it already: a rotation may have just renamed it. */
static bool open_part(struct log_chain *c, const char *path, struct part *ret)
{
    struct stat st;
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || has_part(c, st.st_ino))
        return false;
    *ret = (struct part){TAKE_FD(fd), st.st_ino};
    return true;
}

static bool add_part(struct log_chain *c, size_t at, const char *path)
{
    struct part p;
    if (!open_part(c, path, &p))
        return false;
    *array_insert(c->parts, c->n_parts, at) = p;
    return true;
}

static bool add_older_part(struct log_chain *c)
{
    while (!c->oldest_open && c->next_rotated <= ROTATED_MAX) {
        _cleanup_free_ char *path = xasprintf("%s.%u", c->path, c->next_rotated++);
        if (add_part(c, c->n_parts, path))
            return true;
        c->oldest_open = access(path, F_OK) < 0;
    }
    return false;
}

static off_t size_of(const struct log_chain *c)
{
    struct stat st;
    return c->at < c->n_parts && fstat(c->parts[c->at].fd, &st) == 0 ? st.st_size : 0;
}

struct log_chain *log_chain_new(const char *dir, const char *name)
{
    struct log_chain *c = xcalloc(1, sizeof(*c));
    c->path = xasprintf("%s/%s.log", dir, name);
    c->next_rotated = 1;
    c->block = xmalloc(BLOCK);
    add_part(c, 0, c->path);
    return c;
}

void log_chain_free(struct log_chain *c)
{
    for (size_t i = 0; i < c->n_parts; i++)
        close(c->parts[i].fd);
    free(c->parts);
    free(c->block);
    free(c->path);
    free(c);
}

/* --- places ---------------------------------------------------------------------------------- */

void log_chain_to_end(struct log_chain *c) { c->place = size_of(c); }

void log_chain_to_start(struct log_chain *c)
{
    while (add_older_part(c))
        c->at = c->n_parts - 1;
}

void log_chain_go(struct log_chain *c) { c->place = c->next; }
void log_chain_turn(struct log_chain *c) { c->len = 0; }

/* --- backwards ------------------------------------------------------------------------------- */

static void load(struct log_chain *c, off_t from, size_t n)
{
    ssize_t got = TEMP_FAILURE_RETRY(pread(c->parts[c->at].fd, c->block, n, from));
    c->start = from;
    c->len = got > 0 ? (size_t)got : 0;
}

/* The line that ends at our place, in the window; false if its beginning is not there. */
static bool line_before(struct log_chain *c, struct str *ret)
{
    size_t n = (size_t)(c->place - c->start);
    const char *nl = n > 1 ? memrchr(c->block, '\n', n - 1) : NULL;
    if (!nl && c->start > 0 && n < BLOCK)
        return false;
    const char *from = nl ? nl + 1 : c->block;
    *ret = (struct str){from, (size_t)(c->block + n - from)};
    if (ret->len && ret->ptr[ret->len - 1] == '\n')
        ret->len--;
    return true;
}

bool log_chain_back(struct log_chain *c, struct str *ret)
{
    while (c->place == 0) {
        if (!c->n_parts)
            return false;
        if (c->at + 1 >= c->n_parts && !add_older_part(c))
            return false;
        c->at++;
        c->place = size_of(c);
        c->len = 0;
    }
    if (c->place < c->start || c->place > c->start + (off_t)c->len || c->place == c->start ||
        !line_before(c, ret)) {
        size_t n = (size_t)MIN(c->place, (off_t)BLOCK);
        load(c, c->place - (off_t)n, n);
        if (c->len < n || !line_before(c, ret))
            return false;
    }
    c->next = c->start + (off_t)(ret->ptr - c->block);
    return true;
}

/* --- forwards -------------------------------------------------------------------------------- */

/* The line that starts at our place, in the window; an unfinished one only if the file won't grow.
 */
static bool line_after(struct log_chain *c, bool last, struct str *ret)
{
    if (c->place < c->start || c->place >= c->start + (off_t)c->len)
        return false;
    char *from = c->block + (c->place - c->start);
    size_t n = (size_t)(c->block + c->len - from);
    const char *nl = memchr(from, '\n', n);
    if (!nl && n < LOG_LINE_CAP && !last)
        return false;
    *ret = (struct str){from, nl ? (size_t)(nl - from) : MIN(n, (size_t)LOG_LINE_CAP)};
    c->next = c->place + (off_t)ret->len + (nl ? 1 : 0);
    return true;
}

static ino_t inode_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? st.st_ino : 0;
}

/* Ours was renamed: opens what came after it, which is its successor, or several of them if it was
 * renamed more than once since we looked. */
static bool add_newer_parts(struct log_chain *c)
{
    size_t before = c->n_parts;
    unsigned ours = 1;
    for (; ours <= ROTATED_MAX; ours++) {
        _cleanup_free_ char *path = xasprintf("%s.%u", c->path, ours);
        ino_t inode = inode_of(path);
        if (!inode || inode == c->parts[0].inode)
            break;
    }
    for (unsigned i = ours; i-- > 1;) {
        _cleanup_free_ char *path = xasprintf("%s.%u", c->path, i);
        add_part(c, 0, path);
    }
    add_part(c, 0, c->path);
    c->at += c->n_parts - before;
    return c->n_parts > before;
}

/* On to the next newer file; the one read to its end is not needed again. */
static bool next_part(struct log_chain *c)
{
    if (c->at == 0 && !add_newer_parts(c))
        return false;
    c->at--;
    close(c->parts[--c->n_parts].fd);
    c->place = 0;
    c->len = 0;
    return true;
}

/* Whether nothing will be added any more to the part being read. */
static bool part_is_over(const struct log_chain *c)
{
    ino_t inode = inode_of(c->path);
    return c->at > 0 || (inode && inode != c->parts[0].inode);
}

bool log_chain_forward(struct log_chain *c, struct str *ret)
{
    if (!c->n_parts)
        add_part(c, 0, c->path);
    while (c->n_parts) {
        if (line_after(c, false, ret))
            return true;
        load(c, c->place, BLOCK);
        if (line_after(c, false, ret))
            return true;
        if (!part_is_over(c))
            return false;
        /* Once more: something may have come between the two looks. */
        load(c, c->place, BLOCK);
        if (line_after(c, true, ret))
            return true;
        if (!next_part(c))
            return false;
    }
    return false;
}
