#include "build/job.h"

#include "build/buildpacks.h"
#include "build/processes.h"
#include "build/record.h"
#include "build/source.h"
#include "build/stack.h"
#include "build/tree.h"
#include "os/file.h"

/* All that one build of a source tree works with. */
struct work {
    const struct config *config;
    struct image_store *images;
    const struct job_input *in;
    const struct cancel *cancel;
    struct job_result *result;
    struct output out;
    char *cache; /* the app's folder */
    struct map vars;
    struct source source;
    struct app_json app;
    struct choice choice;
    struct record last, record; /* of the build before, and of this one */
};

static void work_release(struct work *w)
{
    output_close(&w->out);
    free(w->cache);
    map_release(&w->vars);
    source_release(&w->source);
    app_json_release(&w->app);
    choice_release(&w->choice);
    record_release(&w->last);
    record_release(&w->record);
}

void job_input_release(struct job_input *in)
{
    build_release(&in->build);
    map_release(&in->vars);
}

static void processes_release(struct list *l)
{
    for (size_t i = 0; i < l->n; i++)
        process_release(list_at(l, struct process, i));
    free(l->items);
    *l = (struct list){0};
}

void job_result_release(struct job_result *r)
{
    free(r->error);
    free(r->image);
    processes_release(&r->processes);
    map_release(&r->new_vars);
    *r = (struct job_result){0};
}

char *job_dir(const struct config *c, const char *id)
{
    return path_join(c->state, "builds/%s", id);
}

char *job_cache_dir(const struct config *c, const char *app)
{
    return path_join(c->cache, "build/apps/%s", app);
}

static struct stacks stacks_of(struct work *w)
{
    return (struct stacks){
        .config = w->config, .images = w->images, .cancel = w->cancel, .out = &w->out};
}

/* --- what the app says of itself ------------------------------------------------------------- */

static int read_app_json(struct work *w, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_CAP(APP_JSON_MAX);
    int r = tree_read(w->source.dir, "app.json", &text, err);
    if (r == -ERR_NOT_FOUND)
        return 0;
    if (!r)
        r = app_json_parse(buf_str(&text), &w->app, err);
    if (!r)
        r = env_wishes(&w->app, &w->vars, &w->result->new_vars, err);
    map_copy(&w->vars, &w->result->new_vars);
    output_hide(&w->out, &w->result->new_vars);
    return r;
}

static int assemble(struct work *w, struct err *err)
{
    _cleanup_(buf_release) struct buf procfile = BUF_CAP(PROCFILE_MAX + 1);
    _cleanup_(strv_release) struct strv warnings = {0};
    int r = tree_read(w->source.dir, "Procfile", &procfile, err);
    if (r < 0 && r != -ERR_NOT_FOUND)
        return r;
    struct str text = r == -ERR_NOT_FOUND ? (struct str){0} : buf_str(&procfile);
    r = processes_assemble(text, &w->record.processes, &w->app, &w->result->processes, &warnings,
                           err);
    for (size_t i = 0; i < warnings.n; i++)
        output_warning(&w->out, "%s", warnings.items[i]);
    return r;
}

/* --- the result of the build before, if nothing it depended on has changed -------------------- */

static bool same_names(const struct strv *a, const struct strv *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!streq(a->items[i], b->items[i]))
            return false;
    return true;
}

static bool layer_there(struct work *w, const char *diff_id)
{
    _cleanup_free_ char *path = image_layer_path(w->images, diff_id);
    return path_exists(path);
}

/* The stacks may have been made anew since: then what was compiled on them is compiled again. */
static bool stacks_unchanged(struct work *w)
{
    struct stacks s = stacks_of(w);
    for (size_t i = 0; i < w->last.stacks.n; i++) {
        _cleanup_(strv_release) struct strv layers = {0};
        if (stack_layers(&s, w->last.stacks.items[i].name, &layers, NULL) < 0 ||
            !streq(layers.items[layers.n - 1], w->last.stacks.items[i].value))
            return false;
    }
    return true;
}

static bool reuse(struct work *w)
{
    const struct record *last = &w->last;
    if (!last->reusable || !last->buildpacks || !streq(last->buildpacks, w->choice.digest) ||
        !same_names(&last->names, &w->record.names) ||
        !depends_unchanged(last, w->source.dir, &w->vars) || !stacks_unchanged(w) ||
        (last->compiled && !layer_there(w, last->compiled)))
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
    struct stacks s = stacks_of(w);
    int r = stack_layers(&s, name, &layers, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < layers.n; i++)
        if (!strv_has(ret, layers.items[i]))
            strv_add(ret, layers.items[i]);
    map_set(&w->record.stacks, name, layers.items[layers.n - 1]);
    return 0;
}

static int add_needs(struct work *w, const struct language *l, struct strv *run,
                     struct strv *compile, struct err *err)
{
    _cleanup_(needs_release) struct needs needs = {0};
    int r = language_needs(l, w->source.dir, &needs, err);
    if (!r)
        r = add_stack(w, needs.run, run, err);
    if (!r)
        r = add_stack(w, needs.compile, compile, err);
    for (size_t i = 0; !r && i < needs.tools.n; i++)
        r = add_stack(w, needs.tools.items[i], compile, err);
    return r;
}

static int gather_layers(struct work *w, struct strv *compile, struct err *err)
{
    int r = 0;
    for (size_t i = 0; !r && i < w->choice.packs.n; i++) {
        const char *name = list_at(&w->choice.packs, struct buildpack, i)->name;
        const struct language *l = buildpack_ours(name);
        if (l) {
            r = add_needs(w, l, &w->record.run, compile, err);
        } else {
            r = add_stack(w, "stack-run", &w->record.run, err);
            if (!r)
                r = add_stack(w, "stack-build", compile, err);
        }
    }
    strv_add(compile, w->source.diff_id);
    return r;
}

static void note(struct work *w, struct compiled *c)
{
    struct record *r = &w->record;
    r->buildpacks = xstrdup(w->choice.digest);
    r->reusable =
        c->depends_known && depends_digest(&c->depends, w->source.dir, &w->vars, &r->depends);
    r->title = TAKE_PTR(c->title);
    r->compiled = TAKE_PTR(c->diff_id);
    map_copy(&r->processes, &c->processes);
    map_copy(&r->env, &c->env);
}

/* Caches outlive builds, but not the buildpacks that filled them. */
static int prepare_cache(struct work *w, const char *dir, struct err *err)
{
    if (w->last.buildpacks && !streq(w->last.buildpacks, w->choice.digest))
        return dir_remove(dir, err);
    return 0;
}

static int compile(struct work *w, struct err *err)
{
    _cleanup_(strv_release) struct strv layers = {0};
    _cleanup_(compiled_release) struct compiled compiled = {0};
    _cleanup_free_ char *cache = path_join(w->cache, "cache");
    int r = buildpacks_fetch(w->config, &w->choice, w->cancel, &w->out, err);
    if (!r)
        r = gather_layers(w, &layers, err);
    if (!r)
        r = prepare_cache(w, cache, err);
    if (!r)
        r = compile_run(&(struct compile){.config = w->config,
                                          .images = w->images,
                                          .cancel = w->cancel,
                                          .out = &w->out,
                                          .id = w->in->build.id,
                                          .app = w->in->build.app,
                                          .commit = w->in->build.commit,
                                          .layers = &layers,
                                          .buildpacks = &w->choice.packs,
                                          .vars = &w->vars,
                                          .cache = cache},
                        &compiled, err);
    if (!r)
        note(w, &compiled);
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
    for (size_t k = 0; k < w->result->processes.n; k++) {
        const struct process *p = list_at(&w->result->processes, struct process, k);
        if (!streq(p->type, "web"))
            continue;
        strv_add(&i->cmd, "/bin/sh");
        strv_add(&i->cmd, "-c");
        strv_add(&i->cmd, p->command);
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

/* --- all together ---------------------------------------------------------------------------- */

static void warn_of_submodules(struct work *w)
{
    _cleanup_(buf_release) struct buf text = BUF_CAP(65536);
    if (tree_read(w->source.dir, ".gitmodules", &text, NULL) < 0)
        return;
    struct str rest = buf_str(&text);
    while (rest.ptr) {
        struct str value = str_trim(str_cut(&rest, '\n'));
        struct str name = str_trim(str_cut(&value, '='));
        if (value.ptr && str_eq(name, STR("path")))
            output_warning(&w->out,
                           "The submodule %.*s is an empty folder here: git push does not send "
                           "submodules. Copy its files into the repository.",
                           (int)str_trim(value).len, str_trim(value).ptr);
    }
}

static int open_work(struct work *w, struct err *err)
{
    _cleanup_free_ char *dir = job_dir(w->config, w->in->build.id);
    _cleanup_free_ char *log = path_join(dir, "output.log");
    _cleanup_free_ char *record = NULL;
    w->cache = job_cache_dir(w->config, w->in->build.app);
    record = path_join(w->cache, "record.json");
    map_copy(&w->vars, &w->in->vars);
    int r = dir_make(w->cache, 0755, err);
    if (!r)
        r = dir_make(dir, 0755, err);
    if (!r)
        r = output_open(&w->out, log, err);
    if (!r)
        output_hide(&w->out, &w->vars);
    record_load(record, &w->last);
    return r;
}

static int save_record(struct work *w, struct err *err)
{
    _cleanup_free_ char *path = path_join(w->cache, "record.json");
    return record_save(path, &w->record, err);
}

static int build_source(struct work *w, struct err *err)
{
    int r =
        source_unpack(w->config, w->images, w->in->build.archive, w->last.source, &w->source, err);
    if (r < 0)
        return r;
    warn_of_submodules(w);
    if ((r = cancel_check(w->cancel, err)) < 0 || (r = read_app_json(w, err)) < 0 ||
        (r = tree_names(w->source.dir, &w->record.names, err)) < 0 ||
        (r = buildpacks_choose(w->config, w->source.dir, &w->app, &w->choice, err)) < 0)
        return r;
    if (!reuse(w) && (r = compile(w, err)) < 0)
        return r;
    free(w->record.source);
    w->record.source = xstrdup(w->source.diff_id);
    if ((r = assemble(w, err)) < 0 || (r = write_image(w, err)) < 0)
        return r;
    return save_record(w, err);
}

/* What the output does not say already is said before the end. */
static void finish(struct work *w, int r, const struct err *err)
{
    struct job_result *result = w->result;
    result->state = r == 0 ? BUILD_SUCCEEDED : r == -ERR_CANCELLED ? BUILD_CANCELLED : BUILD_FAILED;
    if (r == 0 || r == -ERR_CANCELLED)
        return;
    result->error = xstrdup(err->msg);
    if (*err->hint)
        output_warning(&w->out, "%s\n%s", err->msg, err->hint);
}

void job_run(const struct config *c, struct image_store *images, const struct job_input *in,
             const struct cancel *cancel, struct job_result *ret)
{
    _cleanup_(work_release) struct work w = {.config = c,
                                             .images = images,
                                             .in = in,
                                             .cancel = cancel,
                                             .result = ret,
                                             .out = {.fd = -1}};
    struct err err = {0};
    int r = open_work(&w, &err);
    if (!r)
        r = build_source(&w, &err);
    finish(&w, r, &err);
}
