#include "git/upkeep.h"

#include "git/child.h"
#include "git/repo.h"
#include "base/log.h"
#include "os/file.h"

enum { QUIET_MS = 60 * 1000 };

struct upkeep {
    uv_loop_t *loop;
    const struct config *config;
    uv_timer_t timer;
    struct strv due; /* apps */
    struct child *child;
};

static void next(struct upkeep *u);

static void on_end(void *arg)
{
    struct upkeep *u = arg;
    child_let_go(TAKE_PTR(u->child));
    next(u);
}

static int pack(struct upkeep *u, const char *app, struct err *err)
{
    _cleanup_free_ char *path = repo_path(u->config, app);
    if (!path_exists(path))
        return 0;
    struct spawn s = {
        .argv = (const char *const[]){"nice", "-n", "19", "git", "-C", path, "-c",
                                      "gc.autoDetach=false", "gc", "--auto", "--quiet", NULL},
        .env = (const char *const[]){"PATH=/usr/local/bin:/usr/bin:/bin", "GIT_CONFIG_NOSYSTEM=1",
                                     "GIT_CONFIG_GLOBAL=/dev/null", NULL},
        .fds = {-1, -1, STDERR_FILENO}};
    return child_start(u->loop, &s, on_end, u, &u->child, err);
}

static void next(struct upkeep *u)
{
    struct err err;
    while (u->due.n && !u->child) {
        _cleanup_free_ char *app = u->due.items[--u->due.n];
        if (pack(u, app, &err) < 0)
            log_warning("packing the repository of %s: %s", app, err.msg);
    }
}

static void on_quiet(uv_timer_t *timer) { next(timer->data); }

struct upkeep *upkeep_new(uv_loop_t *loop, const struct config *c)
{
    struct upkeep *u = xcalloc(1, sizeof(*u));
    u->loop = loop;
    u->config = c;
    uv_timer_init(loop, &u->timer);
    u->timer.data = u;
    return u;
}

void upkeep_free(struct upkeep *u)
{
    if (u->child)
        child_let_go(u->child);
    strv_release(&u->due);
    free(u);
}

void upkeep_later(struct upkeep *u, const char *app)
{
    if (!strv_has(&u->due, app))
        strv_add(&u->due, app);
    uv_timer_start(&u->timer, on_quiet, QUIET_MS, 0);
}
