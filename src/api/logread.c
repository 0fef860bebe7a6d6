#include "api/logread.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

enum {
    BLOCK = 2 * LOG_LINE_CAP,
    SLICE_LINES = 5000, /* looked at in one slice of the search */
    ROTATED_MAX = 100,
};

/* One file of a chain. */
struct part {
    int fd;
    ino_t inode;
};

/* A log: its current file and the rotated ones, opened as the search gets to them. */
struct chain {
    char *path, *name;  /* …/web.1.log, "web.1" */
    struct part *parts; /* newest first */
    size_t n_parts, at; /* at: the part being read */
    unsigned next_rotated;
    bool oldest_open;
    /* The window: bytes of the part from `start`; the search goes down from `end`, reading up from
     * `end`. Both are offsets in the file. */
    char *block;
    off_t start, end;
    size_t len;
    bool searching; /* going backwards, not yet at the end */
    bool peeked;    /* `line` holds the next one */
    struct log_line line;
    off_t behind; /* offset after `line` */
};

struct log_reader {
    char *dir, *process, *source;
    struct log_query q;
    struct chain **chains;
    size_t n_chains;
    uint64_t found, left; /* lines found on the way back; still to be given out */
};

/* --- lines ----------------------------------------------------------------------------------- */

bool log_line_parse(struct str text, struct log_line *ret)
{
    struct str rest = text;
    *ret = (struct log_line){.text = text};
    ret->when = str_cut(&rest, ' ');
    if (ret->when.len != TIME_TEXT_LEN || !rest.ptr)
        return false;
    ret->source = str_cut(&rest, '[');
    if (!rest.ptr || !ret->source.len)
        return false;
    ret->process = str_cut(&rest, ']');
    if (!rest.ptr || !str_starts(rest, STR(":")))
        return false;
    rest.ptr++, rest.len--;
    if (str_starts(rest, STR(" ")))
        rest.ptr++, rest.len--;
    ret->message = rest;
    return true;
}

static bool is_process(const char *wanted, struct str process)
{
    struct str type = process;
    return !wanted || str_eq(str_of(wanted), process) ||
           str_eq(str_of(wanted), str_cut(&type, '.'));
}

/* The router's lines are Davit's too, but asked for by their own name. */
static bool is_source(const char *wanted, const struct log_line *l)
{
    bool router = str_eq(l->process, STR("router"));
    return !wanted ||
           (streq(wanted, "router") ? router : !router && str_eq(l->source, str_of(wanted)));
}

static bool wanted(const struct log_reader *r, const struct log_line *l)
{
    return is_process(r->process, l->process) && is_source(r->source, l);
}

static bool too_old(const struct log_reader *r, const struct log_line *l)
{
    return *r->q.since && strncmp(l->when.ptr, r->q.since, TIME_TEXT_LEN) < 0;
}

/* --- a chain's files ------------------------------------------------------------------------- */

static bool has_part(const struct chain *c, ino_t inode)
{
    for (size_t i = 0; i < c->n_parts; i++)
        if (c->parts[i].inode == inode)
            return true;
    return false;
}

/* Opens a file unless the chain has it already: a rotation may have just renamed it. */
static bool open_part(struct chain *c, const char *path, struct part *ret)
{
    struct stat st;
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || has_part(c, st.st_ino))
        return false;
    *ret = (struct part){TAKE_FD(fd), st.st_ino};
    return true;
}

static bool add_part(struct chain *c, size_t at, const char *path)
{
    struct part p;
    if (!open_part(c, path, &p))
        return false;
    c->parts = xrealloc(c->parts, (c->n_parts + 1) * sizeof(*c->parts));
    memmove(c->parts + at + 1, c->parts + at, (c->n_parts - at) * sizeof(*c->parts));
    c->parts[at] = p;
    c->n_parts++;
    return true;
}

static bool add_older_part(struct chain *c)
{
    while (!c->oldest_open && c->next_rotated <= ROTATED_MAX) {
        _cleanup_free_ char *path = xasprintf("%s.%u", c->path, c->next_rotated++);
        if (add_part(c, c->n_parts, path))
            return true;
        c->oldest_open = access(path, F_OK) < 0;
    }
    return false;
}

static off_t size_of(const struct chain *c)
{
    struct stat st;
    return c->at < c->n_parts && fstat(c->parts[c->at].fd, &st) == 0 ? st.st_size : 0;
}

static struct chain *chain_new(const char *dir, const char *name)
{
    struct chain *c = xcalloc(1, sizeof(*c));
    c->path = xasprintf("%s/%s.log", dir, name);
    c->name = xstrdup(name);
    c->next_rotated = 1;
    c->block = xmalloc(BLOCK);
    add_part(c, 0, c->path);
    return c;
}

static void chain_free(struct chain *c)
{
    for (size_t i = 0; i < c->n_parts; i++)
        close(c->parts[i].fd);
    free(c->parts);
    free(c->block);
    free(c->path);
    free(c->name);
    free(c);
}

/* --- backwards ------------------------------------------------------------------------------- */

static void load(struct chain *c, off_t from, size_t n)
{
    ssize_t got = TEMP_FAILURE_RETRY(pread(c->parts[c->at].fd, c->block, n, from));
    c->start = from;
    c->len = got > 0 ? (size_t)got : 0;
}

/* The line that ends at `end`, in the window; false if its beginning is not there. */
static bool line_before(struct chain *c, struct str *ret)
{
    size_t n = (size_t)(c->end - c->start);
    const char *nl = n > 1 ? memrchr(c->block, '\n', n - 1) : NULL;
    if (!nl && c->start > 0 && n < BLOCK)
        return false;
    const char *from = nl ? nl + 1 : c->block;
    *ret = (struct str){from, (size_t)(c->block + n - from)};
    if (ret->len && ret->ptr[ret->len - 1] == '\n')
        ret->len--;
    return true;
}

/* Steps over the line before `end`, into older parts where one begins. False: there is none. */
static bool step_back(struct chain *c, struct str *ret)
{
    while (c->end == 0) {
        if (!c->n_parts)
            return false;
        if (c->at + 1 >= c->n_parts && !add_older_part(c))
            return false;
        c->at++;
        c->end = size_of(c);
        c->len = 0;
    }
    if (c->end < c->start || c->end > c->start + (off_t)c->len || c->end == c->start ||
        !line_before(c, ret)) {
        size_t n = (size_t)MIN(c->end, (off_t)BLOCK);
        load(c, c->end - (off_t)n, n);
        if (c->len < n || !line_before(c, ret))
            return false;
    }
    return true;
}

/* Finds the last wanted line before `end`, for comparing with the other chains' last ones; drops
 * the unwanted ones. */
static void peek_back(struct log_reader *r, struct chain *c, size_t *budget)
{
    struct str text;
    while (c->searching && !c->peeked && *budget) {
        --*budget;
        if (!step_back(c, &text)) {
            c->searching = false;
            return;
        }
        bool whole = log_line_parse(text, &c->line);
        if (whole && too_old(r, &c->line)) {
            c->searching = false;
            return;
        }
        c->behind = c->start + (off_t)(text.ptr - c->block);
        c->peeked = whole && wanted(r, &c->line);
        if (!c->peeked)
            c->end = c->behind;
    }
}

static struct chain *latest(struct log_reader *r)
{
    struct chain *best = NULL;
    for (size_t i = 0; i < r->n_chains; i++) {
        struct chain *c = r->chains[i];
        if (c->peeked &&
            (!best || memcmp(c->line.when.ptr, best->line.when.ptr, TIME_TEXT_LEN) > 0))
            best = c;
    }
    return best;
}

static void turn_round(struct log_reader *r)
{
    for (size_t i = 0; i < r->n_chains; i++) {
        r->chains[i]->searching = r->chains[i]->peeked = false;
        r->chains[i]->len = 0;
    }
    r->left = r->q.follow ? UINT64_MAX : r->found;
}

bool log_reader_search(struct log_reader *r)
{
    size_t budget = SLICE_LINES;
    while (r->found < r->q.n) {
        for (size_t i = 0; i < r->n_chains; i++)
            peek_back(r, r->chains[i], &budget);
        if (!budget)
            return false;
        struct chain *c = latest(r);
        if (!c)
            break;
        c->end = c->behind; /* this line will be given out */
        c->peeked = false;
        r->found++;
    }
    turn_round(r);
    return true;
}

/* --- forwards -------------------------------------------------------------------------------- */

/* The line that starts at `end`, in the window; an unfinished one only if the file won't grow. */
static bool line_after(struct chain *c, bool last, struct str *ret)
{
    if (c->end < c->start || c->end >= c->start + (off_t)c->len)
        return false;
    char *from = c->block + (c->end - c->start);
    size_t n = (size_t)(c->block + c->len - from);
    const char *nl = memchr(from, '\n', n);
    if (!nl && n < LOG_LINE_CAP && !last)
        return false;
    *ret = (struct str){from, nl ? (size_t)(nl - from) : MIN(n, (size_t)LOG_LINE_CAP)};
    c->behind = c->end + (off_t)ret->len + (nl ? 1 : 0);
    return true;
}

static ino_t inode_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? st.st_ino : 0;
}

/* Ours was renamed: opens what came after it, which is its successor, or several of them if it was
 * renamed more than once since we looked. */
static bool add_newer_parts(struct chain *c)
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
static bool next_part(struct chain *c)
{
    if (c->at == 0 && !add_newer_parts(c))
        return false;
    c->at--;
    close(c->parts[--c->n_parts].fd);
    c->end = 0;
    c->len = 0;
    return true;
}

/* Whether nothing will be added any more to the part being read. */
static bool part_is_over(const struct chain *c)
{
    ino_t inode = inode_of(c->path);
    return c->at > 0 || (inode && inode != c->parts[0].inode);
}

static bool step_forward(struct chain *c, struct str *ret)
{
    while (c->n_parts) {
        if (line_after(c, false, ret))
            return true;
        load(c, c->end, BLOCK);
        if (line_after(c, false, ret))
            return true;
        if (!part_is_over(c))
            return false;
        /* Once more: something may have come between the two looks. */
        load(c, c->end, BLOCK);
        if (line_after(c, true, ret))
            return true;
        if (!next_part(c))
            return false;
    }
    return false;
}

static void peek_forward(struct log_reader *r, struct chain *c)
{
    struct str text;
    if (!c->n_parts)
        add_part(c, 0, c->path);
    while (!c->peeked && step_forward(c, &text)) {
        c->peeked = log_line_parse(text, &c->line) && wanted(r, &c->line) && !too_old(r, &c->line);
        if (!c->peeked)
            c->end = c->behind;
    }
}

bool log_reader_next(struct log_reader *r, struct log_line *ret)
{
    struct chain *best = NULL;
    if (!r->left)
        return false;
    for (size_t i = 0; i < r->n_chains; i++) {
        struct chain *c = r->chains[i];
        peek_forward(r, c);
        if (c->peeked &&
            (!best || memcmp(c->line.when.ptr, best->line.when.ptr, TIME_TEXT_LEN) < 0))
            best = c;
    }
    if (!best)
        return false;
    *ret = best->line;
    best->peeked = false;
    best->end = best->behind;
    r->left--;
    return true;
}

/* --- life ------------------------------------------------------------------------------------ */

/* "web.1" from "web.1.log", the caller's; NULL if it is no current log. */
static char *log_name(const char *file)
{
    size_t n = strlen(file);
    return n > 4 && streq(file + n - 4, ".log") ? xstrndup(file, n - 4) : NULL;
}

/* Whether any line of this log can be wanted. */
static bool may_hold(const struct log_reader *r, const char *name)
{
    bool router = streq(name, "router");
    return is_process(r->process, str_of(name)) &&
           (!r->source || streq(r->source, "router") == router);
}

static struct chain *add_chain(struct log_reader *r, const char *file)
{
    _cleanup_free_ char *name = log_name(file);
    if (!name || !may_hold(r, name))
        return NULL;
    for (size_t i = 0; i < r->n_chains; i++)
        if (streq(r->chains[i]->name, name))
            return NULL;
    r->chains = xrealloc(r->chains, (r->n_chains + 1) * sizeof(struct chain *));
    return r->chains[r->n_chains++] = chain_new(r->dir, name);
}

struct log_reader *log_reader_new(const char *dir, const struct log_query *q)
{
    struct log_reader *r = xcalloc(1, sizeof(*r));
    r->dir = xstrdup(dir);
    r->q = *q;
    r->process = q->process ? xstrdup(q->process) : NULL;
    r->source = q->source ? xstrdup(q->source) : NULL;
    DIR *d = opendir(dir);
    const struct dirent *e;
    while (d && (e = readdir(d))) {
        struct chain *c = add_chain(r, e->d_name);
        if (c) {
            c->end = size_of(c);
            c->searching = true;
        }
    }
    if (d)
        closedir(d);
    return r;
}

void log_reader_free(struct log_reader *r)
{
    for (size_t i = 0; i < r->n_chains; i++)
        chain_free(r->chains[i]);
    free(r->chains);
    free(r->dir);
    free(r->process);
    free(r->source);
    free(r);
}

/* A log that wasn't there before is read from its beginning, wherever that was moved to meanwhile;
 * a known one finds what is new by itself. */
void log_reader_changed(struct log_reader *r, const char *name)
{
    struct chain *c = add_chain(r, name);
    while (c && add_older_part(c))
        c->at = c->n_parts - 1;
}
