#include "builder/buildpacks.h"

#include "builder/fetch.h"
#include "builder/tree.h"
#include "os/file.h"

enum { LIST_MAX = 64 * 1024, PACKS_MAX = 16 };

void choice_release(struct choice *c)
{
    for (size_t i = 0; i < c->packs.n; i++) {
        struct buildpack *p = list_at(&c->packs, struct buildpack, i);
        free(p->name);
        free(p->dir);
    }
    free(c->packs.items);
    site_release(&c->site);
    *c = (struct choice){0};
}

static struct buildpack *add(struct list *l, struct str name)
{
    struct buildpack *p = list_add(l, sizeof(*p));
    p->name = xstrndup(name.ptr, name.len);
    return p;
}

static int read_list(const char *dir, struct list *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_CAP(LIST_MAX);
    int r = tree_read(dir, ".buildpacks", &text, err);
    if (r < 0)
        return r == -ERR_NOT_FOUND ? 0 : r;
    struct str rest = buf_str(&text);
    while (rest.ptr) {
        struct str line = str_trim(str_cut(&rest, '\n'));
        if (line.len && line.ptr[0] != '#')
            add(ret, line);
    }
    return 0;
}

static int read_names(const char *dir, const struct app_json *app, struct list *ret,
                      struct err *err)
{
    int r = read_list(dir, ret, err);
    if (r < 0 || ret->n)
        return r;
    for (size_t i = 0; i < app->buildpacks.n; i++)
        add(ret, str_of(app->buildpacks.items[i]));
    return 0;
}

int buildpacks_named(const char *dir, const struct app_json *app, bool *ret, struct err *err)
{
    struct choice c = {0};
    int r = read_names(dir, app, &c.packs, err);
    *ret = c.packs.n;
    choice_release(&c);
    return r;
}

static int no_language(const char *dir, struct err *err)
{
    _cleanup_(strv_release) struct strv names = {0};
    _cleanup_(buf_release) struct buf known = BUF_CAP(400);
    if (tree_names(dir, &names, NULL) == 0 && !names.n)
        return err_set(err, ERR_UNPROCESSABLE,
                       "the source tree is empty: there is nothing to build");
    language_list(&known);
    err_set(err, ERR_UNPROCESSABLE, "no known language");
    return err_hint(err, "A Dockerfile, .buildpacks or one of these files tells it:\n%s",
                    known.ptr);
}

/* Heroku's refuse to run on a stack that isn't Heroku's. */
const struct language *buildpack_ours(const char *name)
{
    static const char *const stems[] = {"davit/", "heroku/", "heroku-community/",
                                        "https://github.com/heroku/heroku-buildpack-"};
    struct str rest = str_of(name), s = str_cut(&rest, '#');
    for (size_t i = 0; i < ARRAY_LEN(stems); i++)
        if (str_starts(s, str_of(stems[i]))) {
            s = (struct str){s.ptr + strlen(stems[i]), s.len - strlen(stems[i])};
            break;
        }
    if (s.len > 4 && memcmp(s.ptr + s.len - 4, ".git", 4) == 0)
        s.len -= 4;
    _cleanup_free_ char *word = xstrndup(s.ptr, s.len);
    return language_named(word);
}

/* What can't be had is told before anything is fetched. */
static int check_name(const struct config *c, const char *name, struct err *err)
{
    _cleanup_free_ char *url = NULL, *ref = NULL;
    return buildpack_ours(name) ? 0 : buildpack_url(c, name, &url, &ref, err);
}

static int add_digest(const struct config *c, const struct buildpack *p, struct buf *all,
                      struct err *err)
{
    char digest[HASH_LEN + 1] = "";
    const struct language *l = buildpack_ours(p->name);
    _cleanup_free_ char *packs = path_join(c->data, "buildpacks");
    int r = l ? tree_hash(packs, l->name, digest, err) : 0;
    buf_addf(all, "%s %s\n", p->name, digest);
    return r;
}

static bool is_site(const struct buildpack *p)
{
    const struct language *l = buildpack_ours(p->name);
    return l && streq(l->name, "static");
}

/* What comes before `static` may make the folder; what comes first has to find it. */
static int check_root(const char *dir, const struct choice *choice, struct err *err)
{
    const char *root = choice->site.root;
    if (!root || !is_site(list_at(&choice->packs, struct buildpack, 0)) ||
        streq(tree_kind(dir, root), "folder"))
        return 0;
    err_set(err, ERR_UNPROCESSABLE,
            "static.json: the root '%.200s' is no folder of the source tree", root);
    return err_hint(err,
                    "If building makes it, a buildpack before davit/static has to: name both in "
                    ".buildpacks, for example davit/nodejs and davit/static, a line each.");
}

static int read_site(const struct config *c, const char *dir, struct choice *choice,
                     struct strv *warnings, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_CAP(STATIC_JSON_MAX + 1);
    for (size_t i = 0; i < choice->packs.n; i++)
        choice->has_site |= is_site(list_at(&choice->packs, struct buildpack, i));
    if (!choice->has_site)
        return 0;
    int r = tree_read(dir, "static.json", &text, err);
    if (r < 0 && r != -ERR_NOT_FOUND)
        return r;
    r = site_parse(buf_str(&text), c->https_port, &choice->site, warnings, err);
    return r ? r : check_root(dir, choice, err);
}

/* What buildpacks from elsewhere say is known only when they have run. */
static bool run_nothing(const char *dir, const struct choice *choice)
{
    for (size_t i = 0; i < choice->packs.n; i++) {
        const struct language *l =
            buildpack_ours(list_at(&choice->packs, struct buildpack, i)->name);
        if (!l || !language_runs_nothing(l, dir))
            return false;
    }
    return true;
}

int buildpacks_choose(const struct config *c, const char *dir, const struct app_json *app,
                      struct choice *ret, struct strv *warnings, struct err *err)
{
    int r = read_names(dir, app, &ret->packs, err);
    if (!r && !ret->packs.n) {
        if (!(ret->detected = language_detect(dir)))
            return no_language(dir, err);
        add(&ret->packs, str_of(ret->detected->name));
    }
    if (!r && ret->packs.n > PACKS_MAX)
        return err_set(err, ERR_UNPROCESSABLE, "more than %d buildpacks", PACKS_MAX);
    for (size_t i = 0; !r && i < ret->packs.n; i++)
        r = check_name(c, list_at(&ret->packs, struct buildpack, i)->name, err);
    if (!r)
        r = read_site(c, dir, ret, warnings, err);
    _cleanup_(buf_release) struct buf all = BUF_INIT;
    for (size_t i = 0; !r && i < ret->packs.n; i++)
        r = add_digest(c, list_at(&ret->packs, struct buildpack, i), &all, err);
    ret->runs_nothing = !r && run_nothing(dir, ret);
    if (!r && ret->has_site)
        buf_addf(&all, "%s\n%s\n%s", ret->site.root ? ret->site.root : "", ret->site.http,
                 ret->site.server);
    text_hash(buf_str(&all), ret->digest);
    return r;
}

int buildpacks_fetch(const struct config *c, struct image_store *images, const char *dir,
                     struct choice *choice, const struct cancel *cancel, struct output *out,
                     struct err *err)
{
    int r = 0;
    for (size_t i = 0; !r && i < choice->packs.n; i++) {
        struct buildpack *p = list_at(&choice->packs, struct buildpack, i);
        const struct language *l = buildpack_ours(p->name);
        if (l)
            p->dir = path_join(c->data, "buildpacks/%s", l->name);
        else
            r = fetch_buildpack(c, images, dir, p->name, cancel, out, &p->dir, err);
    }
    return r;
}
