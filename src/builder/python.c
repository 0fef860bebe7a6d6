#include "builder/python.h"

#include <ctype.h>

#include "builder/toml.h"
#include "builder/tree.h"

enum { NUMBER_MAX = 1000000, RANGE_MAX = 1024, FILE_MAX = 1 << 20, LINE_SHOWN = 60 };

/* --- ranges ---------------------------------------------------------------------------------- */

/* "3.12", "3.12.*", "*". */
struct partial {
    int64_t part[3];
    int n;
    bool wild;
};

static struct str skip(struct str s, size_t n) { return (struct str){s.ptr + n, s.len - n}; }

static bool take_number(struct str *s, int64_t *ret)
{
    size_t digits = 0;
    for (*ret = 0; digits < s->len && isdigit((unsigned char)s->ptr[digits]); digits++)
        *ret = MIN(*ret * 10 + (s->ptr[digits] - '0'), (int64_t)NUMBER_MAX);
    *s = skip(*s, digits);
    return digits > 0;
}

/* Parts beyond the third, and what follows a release ("rc1", ".dev0"), change nothing here. */
static bool take_version(struct str *s, struct partial *ret)
{
    *ret = (struct partial){0};
    for (;;) {
        int64_t number;
        if (s->len && (s->ptr[0] == '*' || s->ptr[0] == 'x')) {
            *s = skip(*s, 1);
            ret->wild = true;
            return true;
        }
        if (!take_number(s, &number))
            return false;
        if (ret->n < 3)
            ret->part[ret->n++] = number;
        if (s->len < 2 || s->ptr[0] != '.' || isalpha((unsigned char)s->ptr[1]))
            break;
        *s = skip(*s, 1);
    }
    while (s->len && (isalnum((unsigned char)s->ptr[0]) || strchr(".+", s->ptr[0])))
        *s = skip(*s, 1);
    return true;
}

static struct str take_operator(struct str *s)
{
    size_t n = 0;
    while (n < s->len && n < 3 && strchr("<>=~^!", s->ptr[n]))
        n++;
    struct str op = {s->ptr, n};
    *s = skip(*s, n);
    while (s->len && isspace((unsigned char)s->ptr[0]))
        *s = skip(*s, 1);
    return op;
}

static int compare(struct semver v, const struct partial *p)
{
    return semver_compare(v, (struct semver){p->part[0], p->part[1], p->part[2]});
}

/* Whether the first n parts are the same. */
static bool same(struct semver v, const struct partial *p, int n)
{
    const int64_t parts[] = {v.major, v.minor, v.patch};
    for (int i = 0; i < n; i++)
        if (parts[i] != p->part[i])
            return false;
    return true;
}

static bool holds(struct semver v, struct str op, const struct partial *p, bool *ret)
{
    if (!op.len && p->n < 3)
        *ret = same(v, p, p->n);
    else if (!op.len || str_eq(op, STR("==")) || str_eq(op, STR("===")) || str_eq(op, STR("=")))
        *ret = same(v, p, p->wild ? p->n : 3);
    else if (str_eq(op, STR("!=")))
        *ret = !same(v, p, p->wild ? p->n : 3);
    else if (str_eq(op, STR(">=")))
        *ret = compare(v, p) >= 0;
    else if (str_eq(op, STR("<=")))
        *ret = compare(v, p) <= 0;
    else if (str_eq(op, STR(">")))
        *ret = compare(v, p) > 0;
    else if (str_eq(op, STR("<")))
        *ret = compare(v, p) < 0;
    else if (str_eq(op, STR("~=")))
        *ret = compare(v, p) >= 0 && same(v, p, p->n - 1);
    else if (str_eq(op, STR("~")))
        *ret = compare(v, p) >= 0 && same(v, p, MIN(p->n, 2));
    else if (str_eq(op, STR("^")))
        *ret = compare(v, p) >= 0 && same(v, p, 1);
    else
        return false;
    return true;
}

/* What stands between two "||": all must hold. */
static bool in_set(struct semver v, struct str set, bool *ret)
{
    *ret = true;
    for (;;) {
        struct partial p;
        bool one;
        while (set.len && (isspace((unsigned char)set.ptr[0]) || set.ptr[0] == ','))
            set = skip(set, 1);
        if (!set.len)
            return true;
        struct str op = take_operator(&set);
        if (!take_version(&set, &p) || !holds(v, op, &p, &one))
            return false;
        *ret = *ret && one;
    }
}

int python_in_range(struct semver v, struct str range, bool *ret_matches, struct err *err)
{
    struct str rest = range;
    bool any = false;
    while (rest.ptr && range.len <= RANGE_MAX) {
        bool matches;
        struct str set = str_cut(&rest, '|');
        if (rest.len && rest.ptr[0] == '|')
            rest = skip(rest, 1);
        if (!in_set(v, set, &matches))
            break;
        any = any || matches;
        if (!rest.ptr) {
            *ret_matches = any;
            return 0;
        }
    }
    return err_set(err, ERR_INVALID, "'%.*s' is no range of versions",
                   (int)MIN(range.len, (size_t)LINE_SHOWN), range.ptr);
}

/* --- what the app asks for ------------------------------------------------------------------- */

/* The first line of a file that says something, without "python-" before the version. */
static char *version_line(struct str text)
{
    static const char *const stems[] = {"cpython-", "cpython@", "python-"};
    while (text.ptr) {
        struct str line = str_trim(str_cut(&text, '\n'));
        if (!line.len || line.ptr[0] == '#')
            continue;
        for (size_t i = 0; i < ARRAY_LEN(stems); i++)
            if (str_starts(line, str_of(stems[i])))
                return xstrndup(line.ptr + strlen(stems[i]), line.len - strlen(stems[i]));
        return xstrndup(line.ptr, line.len);
    }
    return NULL;
}

static const struct source {
    const char *file, *path; /* in TOML; without it the file is one line */
    bool release;            /* "3.13.1" means 3.13, whatever its last part */
} sources[] = {{".python-version", NULL, true},
               {"runtime.txt", NULL, true},
               {"pyproject.toml", "project.requires-python", false},
               {"pyproject.toml", "tool.poetry.dependencies.python", false},
               {"pyproject.toml", "tool.poetry.dependencies.python.version", false},
               {"Pipfile", "requires.python_version", true},
               {"Pipfile", "requires.python_full_version", false}};

enum { N_SOURCES = ARRAY_LEN(sources) };

static char *ask(const char *dir, const struct source *s)
{
    _cleanup_(buf_release) struct buf text = BUF_CAP(FILE_MAX);
    if (tree_read(dir, s->file, &text, NULL) < 0 || !text.len)
        return NULL;
    return s->path ? toml_text(buf_str(&text), s->path) : version_line(buf_str(&text));
}

static bool is_release(const char *text)
{
    return isdigit((unsigned char)*text) && strspn(text, "0123456789.") == strlen(text);
}

static int satisfies(struct semver v, const struct source *s, const char *wanted, bool *ret,
                     struct err *err)
{
    struct partial p;
    struct str rest = str_of(wanted);
    *ret = false;
    if (s->release && isdigit((unsigned char)*wanted)) { /* but not "3.13t" */
        *ret = is_release(wanted) && take_version(&rest, &p) && same(v, &p, MIN(p.n, 2));
        return 0;
    }
    if (s->release && isalpha((unsigned char)*wanted)) /* "pypy3.10" */
        return 0;
    int r = python_in_range(v, str_of(wanted), ret, err);
    return r ? err_wrap(err, "%s", s->file) : 0;
}

static int refuse(const char *file, const char *wanted, const struct semver *offered, size_t n,
                  struct err *err)
{
    _cleanup_(buf_release) struct buf all = BUF_CAP(200);
    for (size_t i = 0; i < n; i++)
        buf_addf(&all, "%s%lld.%lld.%lld",
                 !i          ? ""
                 : i + 1 < n ? ", "
                             : " and ",
                 (long long)offered[i].major, (long long)offered[i].minor,
                 (long long)offered[i].patch);
    err_set(err, ERR_UNPROCESSABLE, "%s asks for Python %.60s; %s can be had", file, wanted,
            all.ptr);
    return err_hint(err,
                    "Ask for one of them there, or bring another Python with a Dockerfile or a "
                    "buildpack of your own (.buildpacks).");
}

/* What no offered version satisfies is refused at once; else *ret_fits loses what does not. */
static int weed_out(const struct source *s, const char *wanted, const struct semver *offered,
                    size_t n, bool *fits, struct err *err)
{
    bool any = false, left = false;
    for (size_t i = 0; i < n; i++) {
        bool matches;
        int r = satisfies(offered[i], s, wanted, &matches, err);
        if (r < 0)
            return r;
        any = any || matches;
        fits[i] = fits[i] && matches;
        left = left || fits[i];
    }
    if (left)
        return 0;
    _cleanup_free_ char *more =
        xasprintf("%s%s", wanted, any ? ", and another file for another" : "");
    return refuse(s->file, more, offered, n, err);
}

int python_choose(const char *dir, const struct semver *offered, size_t n, size_t *ret,
                  bool *ret_asked, struct err *err)
{
    _cleanup_free_ bool *fits = xcalloc(n, sizeof(*fits));
    bool asked = false;
    size_t best = n;
    memset(fits, true, n * sizeof(*fits));
    for (size_t i = 0; i < N_SOURCES; i++) {
        _cleanup_free_ char *wanted = ask(dir, &sources[i]);
        if (!wanted || !*wanted)
            continue;
        asked = true;
        int r = weed_out(&sources[i], wanted, offered, n, fits, err);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < n; i++)
        if (fits[i] && (best == n || semver_compare(offered[i], offered[best]) > 0))
            best = i;
    *ret = best;
    *ret_asked = asked;
    return 0;
}
