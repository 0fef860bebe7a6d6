#include <fcntl.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/visible.h"
#include "builder/buildpacks.h"
#include "builder/dockerfile.h"
#include "builder/folder.h"
#include "builder/processes.h"
#include "builder/tree.h"
#include "builder/work.h"
#include "os/file.h"

static void work_release(struct work *w)
{
    output_close(&w->out);
    free(w->cache);
    map_release(&w->vars);
    source_release(&w->source);
    app_json_release(&w->app);
    record_release(&w->last);
    record_release(&w->record);
}

void job_input_release(struct job_input *in)
{
    build_release(&in->build);
    map_release(&in->vars);
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

/* --- what the app says of itself ------------------------------------------------------------- */

static int read_app_json(struct work *w, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_CAP(APP_JSON_MAX);
    int r = tree_read(w->source.dir, "app.json", &text, err);
    if (r == -ERR_NOT_FOUND)
        return 0;
    if (!r)
        r = app_json_parse(buf_str(&text), &w->app, err);
    work_warn(w, &w->app.warnings);
    if (!r)
        r = env_wishes(&w->app, &w->vars, &w->result->new_vars, err);
    map_copy(&w->vars, &w->result->new_vars);
    output_hide(&w->out, &w->result->new_vars);
    return r;
}

/* Before anything is built: what is wrong with it is known now. */
static int read_procfile(struct work *w, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_CAP(PROCFILE_MAX + 1);
    const struct map none = {0};
    int r = tree_read(w->source.dir, "Procfile", &text, err);
    if (r == -ERR_NOT_FOUND)
        return 0;
    w->procfile = true;
    if (!r)
        r = processes_list(buf_str(&text), &none, &w->result->processes, err);
    return r ? r : processes_check(&w->result->processes, err);
}

static int complete_processes(struct work *w, struct err *err)
{
    _cleanup_(strv_release) struct strv warnings = {0};
    int r = processes_complete(&w->app, &w->result->processes, &warnings, err);
    work_warn(w, &warnings);
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
    _cleanup_free_ char *record = NULL;
    w->cache = job_cache_dir(w->config, w->in->build.app);
    record = path_join(w->cache, "record.json");
    map_copy(&w->vars, &w->in->vars);
    int r = dir_make(w->cache, 0755, err);
    int log = r ? -1
                : folder_open(w->config, w->in->build.id, "output.log",
                              O_WRONLY | O_APPEND | O_CREAT, err);
    if (!r && log < 0)
        r = log;
    if (!r)
        output_to(&w->out, log);
    if (!r)
        output_hide(&w->out, &w->vars);
    record_load(record, &w->last);
    utimensat(AT_FDCWD, w->cache, NULL, 0); /* in use: not to be tidied away */
    return r;
}

static int save_record(struct work *w, struct err *err)
{
    _cleanup_free_ char *path = path_join(w->cache, "record.json");
    return record_save(path, &w->record, err);
}

/* For who removes all that is the app's: no image names this layer yet, and none may ever. */
static void note_source(const struct work *w)
{
    _cleanup_free_ char *path = path_join(w->cache, "source");
    struct err err;
    if (file_replace(path, str_of(w->source.diff_id), 0600, &err) < 0)
        log_warning("%s", err.msg);
}

static int build_source(struct work *w, struct err *err)
{
    _cleanup_close_ int archive =
        folder_open(w->config, w->in->build.id, "source.tar", O_RDONLY, err);
    if (archive < 0)
        return archive;
    int r = source_unpack(w->config, w->images, archive, w->last.source, &w->source, err);
    if (r < 0)
        return r;
    note_source(w);
    warn_of_submodules(w);
    bool named = false;
    if ((r = cancel_check(w->cancel, err)) < 0 || (r = read_app_json(w, err)) < 0 ||
        (r = read_procfile(w, err)) < 0 ||
        (r = buildpacks_named(w->source.dir, &w->app, &named, err)) < 0)
        return r;
    const char *dockerfile = dockerfile_find(w->source.dir);
    if (dockerfile && named)
        output_detail(&w->out, "Buildpacks are named, so the %s does not count", dockerfile);
    r = dockerfile && !named ? build_by_dockerfile(w, dockerfile, err)
                             : build_by_buildpacks(w, err);
    if (r < 0)
        return r;
    free(w->record.source);
    w->record.source = xstrdup(w->source.diff_id);
    return save_record(w, err);
}

/* What the output does not say already is said before the end. */
static void finish(struct work *w, int r, const struct err *err)
{
    struct job_result *result = w->result;
    result->state = r == 0 ? BUILD_SUCCEEDED : r == -ERR_CANCELLED ? BUILD_CANCELLED : BUILD_FAILED;
    if (r == 0 || r == -ERR_CANCELLED)
        return;
    struct buf said = BUF_INIT; /* names of files, of buildpacks, … */
    visible_add(&said, str_of(err->msg), 0);
    result->error = buf_take(&said);
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
    image_interrupt_on(cancel->flag);
    int r = open_work(&w, &err);
    if (!r)
        r = in->build.image && *in->build.image ? build_by_image(&w, &err) : build_source(&w, &err);
    if (!r)
        r = complete_processes(&w, &err);
    if (in->build.archive && *in->build.archive)
        folder_forget(c, in->build.id, "source.tar");
    image_interrupt_on(NULL);
    finish(&w, r, &err);
}
