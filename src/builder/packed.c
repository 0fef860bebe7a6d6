/* Buildpacks: what they made last time if nothing it depended on has changed, else a run of them.
 */
#include "builder/buildpacks.h"
#include "builder/node.h"
#include "builder/processes.h"
#include "builder/python.h"
#include "builder/tree.h"
#include "builder/work.h"
#include "os/file.h"

/* --- the result of the build before, if nothing it depended on has changed -------------------- */

/* The stacks may have been made anew since: then what was compiled on them is compiled again. */
static bool stacks_unchanged(struct work *w)
{
    struct stacks s = work_stacks(w);
    for (size_t i = 0; i < w->last.stacks.n; i++) {
        _cleanup_(strv_release) struct strv layers = {0};
        if (stack_layers(&s, w->last.stacks.items[i].name, &layers, NULL) < 0 ||
            !streq(layers.items[layers.n - 1], w->last.stacks.items[i].value))
            return false;
    }
    return true;
}

static bool reuse(struct work *w, const struct choice *choice)
{
    const struct record *last = &w->last;
    if (!last->reusable || !last->buildpacks || !streq(last->buildpacks, choice->digest) ||
        !depends_unchanged(last, w->source.dir, &w->vars) || !stacks_unchanged(w) ||
        (last->compiled && !image_layer_use(w->images, last->compiled)))
        return false;
    record_copy(last, &w->record);
    output_step(&w->out, "%s app detected", last->title);
    output_detail(&w->out, "Dependencies unchanged, using the cached ones");
    return true;
}

/* --- compiling ------------------------------------------------------------------------------- */

/* Appends the layers of the recipe that are not there yet, and notes it in the record. */
static int add_stack(struct work *w, const char *name, struct strv *ret, struct err *err)
{
    _cleanup_(strv_release) struct strv layers = {0};
    struct stacks s = work_stacks(w);
    int r = stack_layers(&s, name, &layers, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < layers.n; i++)
        if (!strv_has(ret, layers.items[i]))
            strv_add(ret, layers.items[i]);
    map_set(&w->record.stacks, name, layers.items[layers.n - 1]);
    return 0;
}

/* The node the app was compiled for before, if it is in the range. */
static const char *node_before(const struct work *w, const char *range)
{
    for (size_t i = 0; i < w->last.stacks.n; i++) {
        const char *name = w->last.stacks.items[i].name;
        struct semver v;
        bool matches = false;
        if (str_starts(str_of(name), STR("node-")) && !semver_parse(str_of(name + 5), &v, NULL) &&
            !semver_in_range(v, str_of(range), &matches, NULL) && matches)
            return name;
    }
    return NULL;
}

static int add_node(struct work *w, const char *range, struct strv *run, struct strv *compile,
                    struct semver *ret, struct err *err)
{
    _cleanup_free_ char *name = NULL;
    const char *before = node_before(w, range);
    int r = stack_find_node(w->config, range, &name, err);
    if (r == -ERR_UNAVAILABLE && before) {
        output_warning(&w->out, "%s; the Node.js of the last push is used", err->msg);
        name = xstrdup(before);
        r = 0;
    }
    if (!r)
        r = add_stack(w, name, run, err);
    if (!r)
        r = add_stack(w, name, compile, err);
    return r ? r : semver_parse(str_of(name + strlen("node-")), ret, err);
}

/* What a start command may name as well as the build, which has what the tool stands on in layers
 * of its own. */
static int add_tool(struct work *w, const char *name, struct strv *run, struct strv *compile,
                    struct err *err)
{
    int r = add_stack(w, name, run, err);
    if (!r)
        strv_add(compile, map_get(&w->record.stacks, name));
    return r;
}

/* Most apps without dependencies never ask for it: it alone doesn't keep them off the air. */
static int add_npm(struct work *w, const char *name, bool installs, struct strv *run,
                   struct strv *compile, struct err *err)
{
    int r = add_tool(w, name, run, compile, err);
    if (r != -ERR_UNAVAILABLE || installs)
        return r;
    output_warning(&w->out, "%s; nothing that this app starts can use npm", err->msg);
    map_set(&w->record.stacks, name, ""); /* looked for again by the next push */
    return 0;
}

static int add_needs(struct work *w, const struct needs *needs, const struct base *base,
                     struct strv *run, struct strv *compile, struct err *err)
{
    struct semver node = base->node;
    int r = add_stack(w, needs->run, run, err);
    if (!r)
        r = add_stack(w, needs->compile, compile, err);
    if (!r && needs->node)
        r = add_node(w, needs->node, run, compile, &node, err);
    if (!r && needs->npm)
        r = add_npm(w, node_npm(node), needs->installs, run, compile, err);
    for (size_t i = 0; !r && i < needs->tools.n; i++)
        r = add_tool(w, needs->tools.items[i], run, compile, err);
    return r;
}

/* --- what it stands on ----------------------------------------------------------------------- */

/* The Python the app was compiled for before, as the end of its recipes' names; NULL: for none. */
static const char *python_before(const struct work *w)
{
    static const char stem[] = "runtime-python-3";
    for (size_t i = 0; i < w->last.stacks.n; i++)
        if (str_starts(str_of(w->last.stacks.items[i].name), STR(stem)))
            return w->last.stacks.items[i].name + strlen(stem);
    return NULL;
}

/* The suite with the Python that the app asks for; if it asks for none, that of the push before,
 * else the newest. */
static int choose_python(const struct work *w, const struct suite **ret, struct err *err)
{
    struct semver offered[8];
    size_t chosen;
    bool asked;
    for (size_t i = 0; i < n_suites; i++)
        offered[i] = suites[i].python;
    int r = python_choose(w->source.dir, offered, n_suites, &chosen, &asked, err);
    if (r < 0)
        return r;
    *ret = &suites[chosen];
    const char *before = asked ? NULL : python_before(w);
    for (size_t i = 0; before && i < n_suites; i++)
        if (streq(before, suites[i].dot) ||
            (!*before && streq(suites[i].name, w->config->debian_suite)))
            *ret = &suites[i];
    return 0;
}

static int choose_base(const struct work *w, const struct choice *choice, struct base *ret,
                       struct err *err)
{
    const struct suite *home = suite_named(w->config->debian_suite), *chosen = home;
    int r = 0;
    for (size_t i = 0; !r && i < choice->packs.n; i++) {
        const struct language *l =
            buildpack_ours(list_at(&choice->packs, struct buildpack, i)->name);
        if (l && streq(l->name, "python"))
            r = choose_python(w, &chosen, err);
    }
    *ret = (struct base){chosen == home ? "" : chosen->dot,
                         home ? home->node : suites[n_suites - 1].node};
    return r;
}

/* What each buildpack of the choice needs, into needs[]: known before anything is fetched. */
static int find_needs(struct work *w, const struct choice *choice, const struct base *base,
                      struct list *ret, struct map *facts, struct err *err)
{
    int r = 0;
    for (size_t i = 0; !r && i < choice->packs.n; i++) {
        struct needs *needs = list_add(ret, sizeof(*needs));
        r = language_needs(buildpack_ours(list_at(&choice->packs, struct buildpack, i)->name),
                           w->source.dir, base, needs, err);
        map_copy(facts, &needs->facts);
        for (size_t k = 0; k < needs->ignored.n; k++)
            output_warning(&w->out, "%s does not count here: what is installed is what %s says",
                           needs->ignored.items[k], map_get(facts, "python_by"));
    }
    return r;
}

static void needs_list_release(struct list *l)
{
    for (size_t i = 0; i < l->n; i++)
        needs_release(list_at(l, struct needs, i));
    free(l->items);
}

static void note(struct work *w, const struct choice *choice, struct compiled *c)
{
    struct record *r = &w->record;
    r->buildpacks = xstrdup(choice->digest);
    r->reusable =
        c->depends_known && depends_digest(&c->depends, w->source.dir, &w->vars, &r->depends);
    r->title = TAKE_PTR(c->title);
    r->compiled = TAKE_PTR(c->diff_id);
    map_copy(&r->processes, &c->processes);
    map_copy(&r->env, &c->env);
}

/* Caches outlive builds, but not the buildpacks that filled them. */
static int prepare_cache(struct work *w, const struct choice *choice, const char *dir,
                         struct err *err)
{
    if (w->last.buildpacks && !streq(w->last.buildpacks, choice->digest))
        return dir_remove(dir, err);
    return 0;
}

static int compile(struct work *w, struct choice *choice, struct err *err)
{
    _cleanup_(strv_release) struct strv layers = {0};
    _cleanup_(compiled_release) struct compiled compiled = {0};
    _cleanup_(map_release) struct map facts = {0};
    _cleanup_(needs_list_release) struct list needs = {0};
    _cleanup_free_ char *cache = path_join(w->cache, "cache");
    _cleanup_free_ char *packs = path_join(w->cache, "packs");
    struct base base;
    int r = choose_base(w, choice, &base, err);
    if (!r)
        r = find_needs(w, choice, &base, &needs, &facts, err);
    if (!r)
        r = buildpacks_fetch(w->config, w->images, packs, choice, w->cancel, &w->out, err);
    for (size_t i = 0; !r && i < needs.n; i++)
        r = add_needs(w, list_at(&needs, struct needs, i), &base, &w->record.run, &layers, err);
    strv_add(&layers, w->source.diff_id);
    if (!r)
        r = prepare_cache(w, choice, cache, err);
    if (!r)
        r = compile_run(&(struct compile){.config = w->config,
                                          .images = w->images,
                                          .cancel = w->cancel,
                                          .out = &w->out,
                                          .id = w->in->build.id,
                                          .app = w->in->build.app,
                                          .commit = w->in->build.commit,
                                          .layers = &layers,
                                          .buildpacks = &choice->packs,
                                          .vars = &w->vars,
                                          .site = choice->has_site ? &choice->site : NULL,
                                          .facts = &facts,
                                          .cache = cache},
                        &compiled, err);
    if (!r)
        note(w, choice, &compiled);
    return r;
}

/* --- the image ------------------------------------------------------------------------------- */

static void describe(const struct work *w, struct image *i)
{
    i->user = xstrdup("app");
    i->workdir = xstrdup("/app");
    for (size_t k = 0; k < w->record.run.n; k++)
        strv_add(&i->diff_ids, w->record.run.items[k]);
    strv_add(&i->diff_ids, w->source.diff_id);
    if (w->record.compiled)
        strv_add(&i->diff_ids, w->record.compiled);
    if (!map_get(&w->record.env, "PATH"))
        strv_add(&i->env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    strv_add(&i->env, "HOME=/app");
    for (size_t k = 0; k < w->record.env.n; k++)
        strv_addf(&i->env, "%s=%s", w->record.env.items[k].name, w->record.env.items[k].value);
    const struct process *web = processes_find(&w->result->processes, "web");
    if (web) {
        strv_add(&i->cmd, "/bin/sh");
        strv_add(&i->cmd, "-c");
        strv_add(&i->cmd, web->command);
    }
}

static int write_image(struct work *w, struct err *err)
{
    struct image i = {0};
    describe(w, &i);
    int r = image_write(w->images, &i, &w->result->image, err);
    image_release(&i);
    return r;
}

int build_by_buildpacks(struct work *w, struct err *err)
{
    _cleanup_(choice_release) struct choice choice = {0};
    _cleanup_(strv_release) struct strv warnings = {0};
    int r = buildpacks_choose(w->config, w->source.dir, &w->app, &choice, &warnings, err);
    work_warn(w, &warnings);
    if (!r && !w->procfile && choice.runs_nothing)
        r = processes_check(&w->result->processes, err);
    if (!r && !reuse(w, &choice))
        r = compile(w, &choice, err);
    if (!r && !w->procfile)
        r = processes_list((struct str){0}, &w->record.processes, &w->result->processes, err);
    return r ? r : write_image(w, err);
}
