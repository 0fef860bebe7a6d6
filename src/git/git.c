#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/statvfs.h>

#include "base/log.h"
#include "git/child.h"
#include "git/env.h"
#include "git/gunzip.h"
#include "git/internal.h"
#include "git/repo.h"
#include "git/shallow.h"
#include "git/upkeep.h"
#include "http/fdwatch.h"
#include "http/stream.h"
#include "model/names.h"
#include "os/file.h"

struct service {
    const char *name; /* as in ?service= */
    const char *command;
    enum role role;
    const char *advertisement, *result; /* content types */
    const char *preamble;               /* of info/refs: a pkt-line and a flush */
};

#define GIT_HINT "use git 1.6.6 or later, over its smart protocol"

static const struct service services[] = {
    {"git-receive-pack", "receive-pack", ROLE_DEVELOPER,
     "application/x-git-receive-pack-advertisement", "application/x-git-receive-pack-result",
     "001f# service=git-receive-pack\n0000"},
    {"git-upload-pack", "upload-pack", ROLE_VIEWER, "application/x-git-upload-pack-advertisement",
     "application/x-git-upload-pack-result", "001e# service=git-upload-pack\n0000"},
};

/* One run of git: its stdin is the request's body, its stdout the answer. */
struct git_run {
    struct stream stream; /* the answer; its owner once it began, before that the request is */
    struct stream_ops ops;
    struct request *rq;
    const struct service *service;
    char *app;
    bool advertise;         /* info/refs */
    const char *repository; /* what git is started on: of the app, or the one that stays empty */
    struct child *child;
    int in, out; /* our ends; -1: closed */
    struct fdwatch *writable, *readable;
    uint64_t received;     /* bytes of the body */
    struct buf head;       /* the first bytes of the body, gathered until git is started */
    size_t head_fed;       /* as many of them git has got */
    bool ended;            /* no more of the body comes */
    struct buf shallow;    /* where the pusher's history is cut off (shallow.h) */
    struct gunzip *gunzip; /* NULL: the body is not compressed */
};

static const struct config *config_of(const struct git_run *g)
{
    return git_of(g->rq)->options.config;
}

enum {
    INFLATED_MAX = 16 << 20,
    PUSH_ROOM_MIN = 4 << 20, /* bytes free on the disk for a push to begin */
};

/* --- starting it ---------------------------------------------------------------------------- */

static int make_pipe(int *ret_read, int *ret_write, int *ours, struct err *err)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_errno(err, "making a pipe");
    *ret_read = fds[0];
    *ret_write = fds[1];
    fcntl(*ours, F_SETFL, O_NONBLOCK);
    return 0;
}

static void on_readable(void *arg);

static bool head_has(const struct git_run *g, const char *capability)
{
    return g->head.len && memmem(g->head.ptr, g->head.len, capability, strlen(capability));
}

/* Starts git with this stdin; -1: /dev/null. */
static int start(struct git_run *g, int in, struct err *err)
{
    _cleanup_(strv_release) struct strv argv = {0}, env = {0};
    _cleanup_free_ char *path = repo_path(config_of(g), g->repository);
    uv_loop_t *loop = request_loop(g->rq);
    _cleanup_close_ int out = -1;
    strv_add(&argv, "/usr/bin/git");
    strv_add(&argv, g->service->command);
    strv_add(&argv, "--stateless-rpc");
    if (g->advertise)
        strv_add(&argv, "--http-backend-info-refs");
    strv_add(&argv, path);
    git_env(g->rq, g->app, g->shallow.ptr ? g->shallow.ptr : "", head_has(g, " atomic"), &env);
    int r = make_pipe(&g->out, &out, &g->out, err);
    if (r < 0)
        return r;
    struct spawn s = {.argv = (const char *const *)strv_argv(&argv),
                      .env = (const char *const *)strv_argv(&env),
                      .cwd = "/",
                      .fds = {in, out, STDERR_FILENO}};
    if ((r = child_start(loop, &s, NULL, NULL, &g->child, err)) < 0)
        return r;
    g->readable = fdwatch_new(loop, g->out, UV_READABLE, on_readable, g);
    fdwatch_pause(g->readable);
    return 0;
}

/* --- the request's body → git ---------------------------------------------------------------- */

static void on_writable(void *arg);

static int begin(struct git_run *g, struct err *err)
{
    _cleanup_close_ int theirs = -1;
    int r = make_pipe(&theirs, &g->in, &g->in, err);
    if (r < 0 || (r = start(g, theirs, err)) < 0)
        return r;
    g->writable = fdwatch_new(request_loop(g->rq), g->in, UV_WRITABLE, on_writable, g);
    fdwatch_pause(g->writable);
    return 0;
}

static void close_in(struct git_run *g)
{
    fdwatch_free(TAKE_PTR(g->writable));
    closep(&g->in);
    g->in = -1;
}

/* How many of the bytes are taken: as many as the pipe does, and all if git has stopped reading,
 * which says why in its answer. */
static size_t feed(struct git_run *g, const char *data, size_t n)
{
    if (g->in < 0)
        return n;
    ssize_t w = TEMP_FAILURE_RETRY(write(g->in, data, n));
    if (w < 0 && errno != EAGAIN) {
        close_in(g);
        return n;
    }
    if (w < (ssize_t)n)
        fdwatch_go_on(g->writable);
    return w < 0 ? 0 : (size_t)w;
}

/* The head may be more than the pipe holds. Whether all of it is git's. */
static bool feed_head(struct git_run *g)
{
    if (g->head_fed < g->head.len)
        g->head_fed += feed(g, g->head.ptr + g->head_fed, g->head.len - g->head_fed);
    bool all = g->head_fed == g->head.len;
    if (all && g->ended)
        close_in(g);
    return all;
}

static void on_writable(void *arg)
{
    struct git_run *g = arg;
    fdwatch_pause(g->writable);
    if (feed_head(g))
        request_resume(g->rq);
}

/* git is started once it is known where the pusher's history is cut off, which its hook is told. */
static int receive(struct request *rq, const char *data, size_t n, size_t *ret_taken,
                   struct err *err)
{
    struct git_run *g = rq->state;
    size_t taken = 0;
    if (!g->child) {
        taken = MIN(n, SHALLOW_MAX - g->head.len);
        buf_add(&g->head, data, taken);
        int r = shallow_read(buf_str(&g->head), &g->shallow) || g->head.len == SHALLOW_MAX
                    ? begin(g, err)
                    : 0;
        if (r < 0)
            return r;
    }
    if (g->child && feed_head(g) && taken < n)
        taken += feed(g, data + taken, n - taken);
    g->received += taken;
    *ret_taken = taken;
    return 0;
}

/* A pkt-line of the second band: git shows it as "remote: …". Only before git's own answer, whose
 * lines it must not tear. */
static void say(struct git_run *g, const char *text)
{
    buf_addf(&g->stream.pending, "%04zx\2%s", 5 + strlen(text), text);
}

/* git itself only says "pack exceeds maximum allowed size". */
static void explain_limit(struct git_run *g)
{
    long long max = config_of(g)->upload_max;
    if (!head_has(g, "side-band-64k") || g->received <= (uint64_t)max << 20)
        return;
    _cleanup_free_ char *text =
        xasprintf(" !     This push is larger than %lld MiB, the limit upload_max in davit.conf.\n"
                  "       Take large files out of its history, or raise the limit.\n",
                  max);
    say(g, text);
}

/* --- a compressed body ----------------------------------------------------------------------- */

/* Requests to fetch come so, and they are small: inflated into memory, git starts when all is
 * there. */
static int start_gunzip(struct git_run *g, struct err *err)
{
    g->in = memfd_create("git request", MFD_CLOEXEC);
    if (g->in < 0)
        return err_errno(err, "making room for the request");
    return gunzip_new(INFLATED_MAX, &g->gunzip, err);
}

static int receive_gzip(struct request *rq, const char *data, size_t n, size_t *ret_taken,
                        struct err *err)
{
    struct git_run *g = rq->state;
    *ret_taken = n;
    return gunzip_to(g->gunzip, data, n, g->in, err);
}

/* --- git → the answer ------------------------------------------------------------------------ */

static void on_readable(void *arg)
{
    struct git_run *g = arg;
    fdwatch_pause(g->readable);
    stream_poke(&g->stream);
}

static void fill(struct stream *s)
{
    struct git_run *g = (struct git_run *)s;
    char chunk[32 * 1024];
    ssize_t n = TEMP_FAILURE_RETRY(read(g->out, chunk, sizeof(chunk)));
    if (n > 0)
        buf_add(&s->pending, chunk, (size_t)n);
    else if (n < 0 && errno == EAGAIN)
        fdwatch_go_on(g->readable);
    else
        s->done = true;
}

static void git_run_free(struct git_run *g)
{
    if (g->child && !g->advertise && g->service->role > ROLE_VIEWER)
        upkeep_later(git_of(g->rq)->upkeep, g->app);
    close_in(g);
    fdwatch_free(g->readable);
    closep(&g->out);
    if (g->child)
        child_let_go(g->child);
    gunzip_free(g->gunzip);
    buf_release(&g->head);
    buf_release(&g->shallow);
    free(g->app);
    free(g);
}

static void release_stream(struct stream *s) { git_run_free((struct git_run *)s); }
static void release_request(struct request *rq) { git_run_free(rq->state); }

/* On a full disk git itself would only say that it can't make a folder. */
static bool is_full(const struct git_run *g)
{
    struct statvfs fs;
    return g->service->role > ROLE_VIEWER && statvfs(config_of(g)->state, &fs) == 0 &&
           (uint64_t)fs.f_bavail * fs.f_frsize < PUSH_ROOM_MIN;
}

static int finish(struct request *rq, struct err *err)
{
    struct git_run *g = rq->state;
    int r = 0;
    if (g->gunzip && lseek(g->in, 0, SEEK_SET) < 0)
        r = err_errno(err, "rewinding the request");
    bool full = g->advertise && is_full(g);
    if (!r && !g->child && !full)
        r = g->head.len ? begin(g, err) : start(g, g->in, err);
    if (r < 0)
        return r;
    g->ended = true;
    feed_head(g);
    rq->release = NULL; /* the stream's from here on */
    stream_init(&g->stream, &g->ops, rq);
    explain_limit(g);
    if (g->advertise)
        buf_adds(&g->stream.pending, g->service->preamble);
    if (full) {
        static const char text[] = "ERR No space left on Davit's disk; nothing was changed";
        buf_addf(&g->stream.pending, "%04zx%s", 4 + sizeof(text) - 1, text);
    }
    return 0;
}

/* --- opening --------------------------------------------------------------------------------- */

/* "APP.git", or without its ending. */
static int name_app(struct request *rq, char **ret, struct err *err)
{
    struct str name = str_of(request_param(rq, "repository"));
    if (name.len > 4 && memcmp(name.ptr + name.len - 4, ".git", 4) == 0)
        name.len -= 4;
    *ret = xstrndup(name.ptr, name.len);
    return app_name_check(*ret, err);
}

static int choose_service(struct git_run *g, const char *name, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(services); i++)
        if (streq(name, services[i].name)) {
            g->service = &services[i];
            return identity_need(&g->rq->who, g->service->role, err);
        }
    err_set(err, ERR_NOT_FOUND, "there is nothing at this path");
    return err_hint(err, GIT_HINT);
}

/* A push makes the app; before one, what is there is what is in an empty repository. */
static int make_app(struct git_run *g, struct err *err)
{
    const struct git_options *o = &git_of(g->rq)->options;
    bool push = g->service->role > ROLE_VIEWER, there = o->branch(o->ctx, g->app);
    if (!there && !push) {
        err_set(err, ERR_NOT_FOUND, "there is no app '%s'", g->app);
        return err_hint(err, "davit apps lists them");
    }
    g->repository = there || !g->advertise ? g->app : REPO_EMPTY;
    int r = 0;
    if (!there && !g->advertise) /* first: what is left of a former one may be a repository */
        r = o->create(o->ctx, &g->rq->who, g->app, err);
    return r < 0 && r != -ERR_EXISTS ? r : repo_make(o->config, g->repository, err);
}

static int open_run(struct request *rq, const char *service, bool advertise, struct err *err)
{
    struct git_run *g = xcalloc(1, sizeof(*g));
    g->rq = rq;
    g->advertise = advertise;
    g->in = g->out = -1;
    g->head = BUF_CAP(SHALLOW_MAX);
    g->shallow = BUF_CAP(2 * SHALLOW_MAX);
    rq->state = g;
    rq->release = release_request;
    rq->receive = receive;
    int r = name_app(rq, &g->app, err);
    if (r < 0 || (r = choose_service(g, service, err)) < 0 || (r = make_app(g, err)) < 0)
        return r;
    g->ops = (struct stream_ops){.content_type =
                                     advertise ? g->service->advertisement : g->service->result,
                                 .fill = fill,
                                 .release = release_stream};
    return 0;
}

static int open_refs(struct request *rq, struct err *err)
{
    const char *asked = request_query(rq, "service");
    return open_run(rq, asked ? asked : "", true, err);
}

static int open_service(struct request *rq, struct err *err)
{
    int r = open_run(rq, strrchr(rq->path, '/') + 1, false, err);
    const char *coding = request_header(rq, MHD_HTTP_HEADER_CONTENT_ENCODING);
    if (r < 0 || !coding || streq(coding, "identity"))
        return r; /* git starts with the first piece of the body */
    if (!streq(coding, "gzip") && !streq(coding, "x-gzip"))
        return err_set(err, ERR_INVALID, "content encoding '%.32s' isn't known here", coding);
    rq->receive = receive_gzip;
    return start_gunzip(rq->state, err);
}

/* --- the room -------------------------------------------------------------------------------- */

static const struct route routes[] = {
    {.method = "GET",
     .path = "/git/{repository}/info/refs",
     .open = open_refs,
     .query = (const struct param[]){{"service", "git-receive-pack or git-upload-pack"}, {0}},
     .handler = finish,
     .status = MHD_HTTP_OK,
     .role = ROLE_VIEWER},
    {.method = "POST",
     .path = "/git/{repository}/git-receive-pack",
     .open = open_service,
     .handler = finish,
     .status = MHD_HTTP_OK,
     .role = ROLE_DEVELOPER},
    {.method = "POST",
     .path = "/git/{repository}/git-upload-pack",
     .open = open_service,
     .handler = finish,
     .status = MHD_HTTP_OK,
     .role = ROLE_VIEWER},
    {0},
};

struct route_group git_group(struct git *g)
{
    static const struct route *const tables[] = {routes, NULL};
    return (struct route_group){
        .prefix = "/git/", .tables = tables, .ctx = g, .hint = GIT_HINT, .text_errors = true};
}

struct git *git_new(const struct git_options *o)
{
    struct git *g = xcalloc(1, sizeof(*g));
    g->options = *o;
    g->upkeep = upkeep_new(o->loop, o->config);
    return g;
}

void git_free(struct git *g)
{
    upkeep_free(g->upkeep);
    free(g);
}
