#include "builder/semver.h"

#include <ctype.h>

enum { NUMBER_MAX = 1000000000, RANGE_MAX = 1024 };

/* A version of which the right parts may be missing: "18", "18.x", "*". */
struct partial {
    int64_t part[3];
    int n; /* how many are there */
};

/* What lies from `low` on and before `high`. */
struct span {
    struct semver low, high;
};

static const struct semver lowest = {0, 0, 0}, beyond = {INT64_MAX, 0, 0};

static struct str skip(struct str s, size_t n) { return (struct str){s.ptr + n, s.len - n}; }

static struct str skip_blanks(struct str s)
{
    while (s.len && isspace((unsigned char)s.ptr[0]))
        s = skip(s, 1);
    return s;
}

static bool take_number(struct str *s, int64_t *ret)
{
    int64_t n = 0;
    size_t digits = 0;
    while (digits < s->len && isdigit((unsigned char)s->ptr[digits]) && n < NUMBER_MAX)
        n = n * 10 + (s->ptr[digits++] - '0');
    *s = skip(*s, digits);
    *ret = n;
    return digits > 0 && n < NUMBER_MAX;
}

static bool take_wildcard(struct str *s)
{
    if (!s->len || !strchr("xX*", s->ptr[0]))
        return false;
    *s = skip(*s, 1);
    return true;
}

/* "1.2.3", "1.2", "1.x", "*", each with an optional "v". */
static bool take_partial(struct str *s, struct partial *ret)
{
    bool wild = false;
    int i = 0;
    *ret = (struct partial){0};
    if (s->len && (s->ptr[0] == 'v' || s->ptr[0] == 'V'))
        *s = skip(*s, 1);
    for (; i < 3; i++) {
        if (take_wildcard(s))
            wild = true;
        else if (!take_number(s, &ret->part[i]))
            return false;
        ret->n = wild ? ret->n : i + 1;
        if (!s->len || s->ptr[0] != '.')
            return true;
        if (i < 2)
            *s = skip(*s, 1);
    }
    return false;
}

static struct semver floor_of(const struct partial *p)
{
    return (struct semver){p->part[0], p->n > 1 ? p->part[1] : 0, p->n > 2 ? p->part[2] : 0};
}

/* The first version that differs from p in its part number `i` (0: major). */
static struct semver next_after(const struct partial *p, int i)
{
    switch (MIN(i, p->n - 1)) {
    case 0: return (struct semver){p->part[0] + 1, 0, 0};
    case 1: return (struct semver){p->part[0], p->part[1] + 1, 0};
    case 2: return (struct semver){p->part[0], p->part[1], p->part[2] + 1};
    default: return beyond;
    }
}

/* ^ lets everything change right of the first part that is not zero. */
static int caret_part(const struct partial *p)
{
    for (int i = 0; i < p->n; i++)
        if (p->part[i])
            return i;
    return p->n - 1;
}

static bool span_of(struct str op, const struct partial *p, struct span *ret)
{
    struct semver low = floor_of(p), after = next_after(p, 2);
    if (!op.len || str_eq(op, STR("=")))
        *ret = (struct span){low, after};
    else if (str_eq(op, STR("<")))
        *ret = (struct span){lowest, low};
    else if (str_eq(op, STR("<=")))
        *ret = (struct span){lowest, after};
    else if (str_eq(op, STR(">")))
        *ret = (struct span){after, beyond};
    else if (str_eq(op, STR(">=")))
        *ret = (struct span){low, beyond};
    else if (str_eq(op, STR("~")) || str_eq(op, STR("~>")))
        *ret = (struct span){low, next_after(p, 1)};
    else if (str_eq(op, STR("^")))
        *ret = (struct span){low, next_after(p, caret_part(p))};
    else
        return false;
    return true;
}

static struct str take_operator(struct str *s)
{
    size_t n = 0;
    while (n < s->len && n < 2 && strchr("<>=~^", s->ptr[n]))
        n++;
    struct str op = {s->ptr, n};
    *s = skip_blanks(skip(*s, n));
    return op;
}

/* Comparators between two "||": all must hold. */
static int in_set(struct semver v, struct str set, bool *ret, struct err *err)
{
    struct str all = set;
    *ret = true;
    for (set = skip_blanks(set); set.len; set = skip_blanks(set)) {
        struct partial p, to;
        struct str op = take_operator(&set);
        struct span s;
        if (!take_partial(&set, &p) || !span_of(op, &p, &s))
            goto bad;
        struct str rest = skip_blanks(set);
        if (rest.len > 1 && rest.ptr[0] == '-' && rest.ptr != set.ptr && !op.len) {
            set = skip_blanks(skip(rest, 1));
            if (!take_partial(&set, &to))
                goto bad;
            s.high = next_after(&to, 2);
        }
        if (set.len && !isspace((unsigned char)set.ptr[0]) && !strchr("<>=~^", set.ptr[0]))
            goto bad;
        *ret = *ret && semver_compare(v, s.low) >= 0 && semver_compare(v, s.high) < 0;
    }
    return 0;
bad:
    return err_set(err, ERR_INVALID, "'%.*s' is no range of versions", (int)MIN(all.len, 60UL),
                   all.ptr);
}

int semver_in_range(struct semver v, struct str range, bool *ret_matches, struct err *err)
{
    bool any = false;
    if (range.len > RANGE_MAX)
        return err_set(err, ERR_INVALID, "a range of versions of more than %d bytes", RANGE_MAX);
    while (range.ptr) {
        bool matches;
        struct str set = str_cut(&range, '|');
        if (range.ptr && (!range.len || range.ptr[0] != '|'))
            return err_set(err, ERR_INVALID, "in a range of versions '|' stands alone");
        if (range.ptr)
            range = skip(range, 1);
        int r = in_set(v, set, &matches, err);
        if (r < 0)
            return r;
        any = any || matches;
    }
    *ret_matches = any;
    return 0;
}

int semver_parse(struct str text, struct semver *ret, struct err *err)
{
    struct str rest = text;
    struct partial p;
    if (!take_partial(&rest, &p) || p.n != 3 || rest.len)
        return err_set(err, ERR_INVALID, "'%.*s' is no version", (int)MIN(text.len, 60UL),
                       text.ptr);
    *ret = floor_of(&p);
    return 0;
}

int semver_compare(struct semver a, struct semver b)
{
    const int64_t l[] = {a.major, a.minor, a.patch}, r[] = {b.major, b.minor, b.patch};
    for (int i = 0; i < 3; i++)
        if (l[i] != r[i])
            return l[i] < r[i] ? -1 : 1;
    return 0;
}
