#include "run/command.h"

#include <signal.h>
#include <sys/pidfd.h>

#include "base/log.h"
#include "base/mem.h"
#include "os/cgroup.h"
#include "os/pidfd.h"
#include "os/spawn.h"

enum { KILL_MS = 100 }; /* that the loop waits at most */

struct command {
    uv_poll_t ended;
    uv_timer_t timer;
    int pidfd;
    char *cgroup;
    void (*done)(void *ctx, int status);
    void *ctx;
    int handles; /* not closed yet */
};

static void on_closed(uv_handle_t *handle)
{
    struct command *c = handle->data;
    if (--c->handles)
        return;
    close(c->pidfd);
    free(c->cgroup);
    free(c);
}

static void tell(struct command *c, int status)
{
    void (*done)(void *, int) = c->done;
    c->done = NULL;
    if (done)
        done(c->ctx, status);
}

/* Its children and theirs, too. */
static void kill_group(const struct command *c)
{
    struct err err;
    if (c->cgroup && cgroup_kill(c->cgroup, KILL_MS, &err) < 0)
        log_warning("after a health check: %s", err.msg);
}

/* Even one nobody waits for any more is reaped. */
static void on_ended(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct command *c = poll->data;
    int exit_status, signal_number;
    if (pidfd_reap(c->pidfd, &exit_status, &signal_number) == 0)
        return;
    kill_group(c);
    uv_close((uv_handle_t *)&c->ended, on_closed);
    uv_close((uv_handle_t *)&c->timer, on_closed);
    tell(c, exit_status);
}

static void on_timeout(uv_timer_t *timer)
{
    struct command *c = timer->data;
    pidfd_send_signal(c->pidfd, SIGKILL, NULL, 0);
    kill_group(c);
    tell(c, COMMAND_TIMED_OUT);
}

void command_cancel(struct command *c)
{
    c->done = NULL;
    pidfd_send_signal(c->pidfd, SIGKILL, NULL, 0);
}

int command_start(uv_loop_t *loop, const char *const *argv, const char *cgroup, int64_t timeout_ms,
                  void (*done)(void *ctx, int status), void *ctx, struct command **ret,
                  struct err *err)
{
    int pidfd;
    struct spawn s = {
        .argv = argv, .fds = {-1, -1, -1}, .cgroup = cgroup, .new_session = true, .pidfd = &pidfd};
    int r = spawn_start(&s, err);
    if (r < 0)
        return r;
    struct command *c = xcalloc(1, sizeof(*c));
    *c = (struct command){.pidfd = pidfd,
                          .cgroup = cgroup ? xstrdup(cgroup) : NULL,
                          .done = done,
                          .ctx = ctx,
                          .handles = 2};
    uv_poll_init(loop, &c->ended, pidfd);
    uv_timer_init(loop, &c->timer);
    c->ended.data = c->timer.data = c;
    uv_poll_start(&c->ended, UV_READABLE, on_ended);
    uv_timer_start(&c->timer, on_timeout, (uint64_t)timeout_ms, 0);
    *ret = c;
    return 0;
}
