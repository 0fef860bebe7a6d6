#include "git/hook/refs.h"

#include "base/array.h"

struct ref {
    struct str old, new, name;
    struct str branch; /* ptr NULL: not a branch */
};

struct push {
    struct ref *refs;
    size_t n;
};

void decision_release(struct decision *d)
{
    free(d->commit);
    free(d->branch);
    free(d->old);
    buf_release(&d->words);
}

static bool is_oid(struct str s)
{
    bool ok = s.len >= 40 && s.len <= OID_MAX;
    for (size_t i = 0; ok && i < s.len; i++)
        ok = (s.ptr[i] >= '0' && s.ptr[i] <= '9') || (s.ptr[i] >= 'a' && s.ptr[i] <= 'f');
    return ok;
}

static bool is_deletion(const struct ref *r)
{
    for (size_t i = 0; i < r->new.len; i++)
        if (r->new.ptr[i] != '0')
            return false;
    return true;
}

static int parse(struct str lines, struct push *ret, struct err *err)
{
    while (lines.len) {
        struct str line = str_cut(&lines, '\n');
        struct ref r = {0};
        r.old = str_cut(&line, ' ');
        r.new = str_cut(&line, ' ');
        r.name = line;
        if (!is_oid(r.old) || !is_oid(r.new) || !r.name.len)
            return err_set(err, ERR_INVALID, "git gave the hook a line it doesn't know");
        if (str_starts(r.name, STR("refs/heads/")))
            r.branch = (struct str){r.name.ptr + 11, r.name.len - 11};
        if (ret->n == REFS_MAX)
            return err_set(err, ERR_TOO_LARGE, "more than %d refs in one push", REFS_MAX);
        *array_add(ret->refs, ret->n) = r;
    }
    return 0;
}

static const struct ref *find_branch(const struct push *p, struct str name)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->refs[i].branch.ptr && str_eq(p->refs[i].branch, name))
            return &p->refs[i];
    return NULL;
}

/* On the first push: main or master if it is among them, else the first branch that isn't deleted.
 */
static const struct ref *first_branch(const struct push *p)
{
    const struct ref *r;
    if (((r = find_branch(p, STR("main"))) || (r = find_branch(p, STR("master")))) &&
        !is_deletion(r))
        return r;
    for (size_t i = 0; i < p->n; i++)
        if (p->refs[i].branch.ptr && !is_deletion(&p->refs[i]))
            return &p->refs[i];
    return NULL;
}

static void warn(struct decision *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void warn(struct decision *d, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_adds(&d->words, " !     ");
    buf_vaddf(&d->words, fmt, ap);
    buf_addc(&d->words, '\n');
    va_end(ap);
}

/* Only other refs: nothing to build. Deleting some is tidying up, anything else a mistake. */
static void without_deploy_branch(const struct push *p, const char *deploy_branch,
                                  struct decision *d)
{
    const struct ref *other = NULL;
    for (size_t i = 0; i < p->n && !other; i++)
        if (!is_deletion(&p->refs[i]))
            other = &p->refs[i];
    d->accept = !other;
    if (!other)
        return;
    if (!*deploy_branch) {
        warn(d, "Push rejected, %.*s is not a branch", (int)other->name.len, other->name.ptr);
        warn(d, "Push one to deploy it: git push davit main");
    } else if (!other->branch.ptr) {
        warn(d, "Push rejected, %.*s alone deploys nothing", (int)other->name.len, other->name.ptr);
        warn(d, "Push it together with the deploy branch: git push davit %s --follow-tags",
             deploy_branch);
    } else {
        warn(d, "Push rejected, this app deploys from branch '%s'", deploy_branch);
        warn(d, "To deploy this one: git push davit %.*s:%s", (int)other->branch.len,
             other->branch.ptr, deploy_branch);
    }
}

static void with_deploy_branch(const struct push *p, const struct ref *r, struct decision *d)
{
    if (is_deletion(r)) {
        warn(d, "Push rejected, '%.*s' is the deploy branch and can't be deleted",
             (int)r->branch.len, r->branch.ptr);
        warn(d, "To be rid of the app itself: davit apps destroy");
        return;
    }
    d->accept = true;
    d->commit = xstrndup(r->new.ptr, r->new.len);
    d->branch = xstrndup(r->branch.ptr, r->branch.len);
    d->old = xstrndup(r->old.ptr, r->old.len);
    d->several = p->n > 1;
    for (size_t i = 0; i < p->n; i++)
        if (p->refs[i].branch.ptr && &p->refs[i] != r && !is_deletion(&p->refs[i]))
            buf_addf(&d->words, "       Branch %.*s is kept, not deployed\n",
                     (int)p->refs[i].branch.len, p->refs[i].branch.ptr);
}

int decide(struct str lines, const char *deploy_branch, struct decision *ret, struct err *err)
{
    struct push p = {0};
    *ret = (struct decision){.words = BUF_INIT};
    int r = parse(lines, &p, err);
    if (r == 0) {
        const struct ref *deploy =
            *deploy_branch ? find_branch(&p, str_of(deploy_branch)) : first_branch(&p);
        if (deploy)
            with_deploy_branch(&p, deploy, ret);
        else
            without_deploy_branch(&p, deploy_branch, ret);
    }
    free(p.refs);
    return r;
}
