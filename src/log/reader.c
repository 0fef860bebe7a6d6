#include "log/reader.h"

#include <dirent.h>

#include "base/array.h"
#include "log/chain.h"

enum { SLICE_LINES = 5000 }; /* looked at in one slice of the search */

/* A log, and the line of it that comes next. */
struct log {
    char *name; /* "web.1" */
    struct log_chain *chain;
    bool searching; /* going backwards, not yet at the end */
    bool peeked;    /* `line` holds the next one */
    struct log_line line;
};

struct log_reader {
    char *dir, *process, *source;
    struct log_query q;
    struct log *logs;
    size_t n_logs;
    uint64_t found, left; /* lines found on the way back; still to be given out */
};

/* --- lines ----------------------------------------------------------------------------------- */

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

/* --- backwards ------------------------------------------------------------------------------- */

/* Finds the last wanted line for comparing with those of the other logs;
 * drops the unwanted ones. */
static void peek_back(struct log_reader *r, struct log *c, size_t *budget)
{
    struct str text;
    while (c->searching && !c->peeked && *budget) {
        --*budget;
        if (!log_chain_back(c->chain, &text)) {
            c->searching = false;
            return;
        }
        bool whole = log_line_parse(text, &c->line);
        if (whole && too_old(r, &c->line)) {
            c->searching = false;
            return;
        }
        c->peeked = whole && wanted(r, &c->line);
        if (!c->peeked)
            log_chain_go(c->chain);
    }
}

static struct log *latest(struct log_reader *r)
{
    struct log *best = NULL;
    for (size_t i = 0; i < r->n_logs; i++) {
        struct log *c = &r->logs[i];
        if (c->peeked &&
            (!best || memcmp(c->line.when.ptr, best->line.when.ptr, TIME_TEXT_LEN) > 0))
            best = c;
    }
    return best;
}

static void turn_round(struct log_reader *r)
{
    for (size_t i = 0; i < r->n_logs; i++) {
        r->logs[i].searching = r->logs[i].peeked = false;
        log_chain_turn(r->logs[i].chain);
    }
    r->left = r->q.follow ? UINT64_MAX : r->found;
}

bool log_reader_search(struct log_reader *r)
{
    size_t budget = SLICE_LINES;
    while (r->found < r->q.n) {
        for (size_t i = 0; i < r->n_logs; i++)
            peek_back(r, &r->logs[i], &budget);
        if (!budget)
            return false;
        struct log *c = latest(r);
        if (!c)
            break;
        log_chain_go(c->chain); /* this line will be given out */
        c->peeked = false;
        r->found++;
    }
    turn_round(r);
    return true;
}

/* --- forwards -------------------------------------------------------------------------------- */

static void peek_forward(struct log_reader *r, struct log *c)
{
    struct str text;
    while (!c->peeked && log_chain_forward(c->chain, &text)) {
        c->peeked = log_line_parse(text, &c->line) && wanted(r, &c->line) && !too_old(r, &c->line);
        if (!c->peeked)
            log_chain_go(c->chain);
    }
}

bool log_reader_next(struct log_reader *r, struct log_line *ret)
{
    struct log *best = NULL;
    if (!r->left)
        return false;
    for (size_t i = 0; i < r->n_logs; i++) {
        struct log *c = &r->logs[i];
        peek_forward(r, c);
        if (c->peeked &&
            (!best || memcmp(c->line.when.ptr, best->line.when.ptr, TIME_TEXT_LEN) < 0))
            best = c;
    }
    if (!best)
        return false;
    *ret = best->line;
    best->peeked = false;
    log_chain_go(best->chain);
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

static struct log *add_log(struct log_reader *r, const char *file)
{
    _cleanup_free_ char *name = log_name(file);
    if (!name || !may_hold(r, name))
        return NULL;
    for (size_t i = 0; i < r->n_logs; i++)
        if (streq(r->logs[i].name, name))
            return NULL;
    struct log *new = array_add(r->logs, r->n_logs);
    *new = (struct log){.chain = log_chain_new(r->dir, name)};
    new->name = TAKE_PTR(name);
    return new;
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
        struct log *c = add_log(r, e->d_name);
        if (c) {
            log_chain_to_end(c->chain);
            c->searching = true;
        }
    }
    if (d)
        closedir(d);
    return r;
}

static void log_release(struct log *s)
{
    log_chain_free(s->chain);
    free(s->name);
}

void log_reader_free(struct log_reader *r)
{
    for (size_t i = 0; i < r->n_logs; i++)
        log_release(&r->logs[i]);
    free(r->logs);
    free(r->dir);
    free(r->process);
    free(r->source);
    free(r);
}

/* A log that wasn't there before is read from its beginning, wherever that was moved to meanwhile;
 * a known one finds what is new by itself. */
void log_reader_changed(struct log_reader *r, const char *name)
{
    struct log *c = add_log(r, name);
    if (c)
        log_chain_to_start(c->chain);
}
