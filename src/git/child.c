#include "git/child.h"

#include <signal.h>

#include "http/fdwatch.h"

enum { KILL_AFTER_MS = 5000 };

struct child {
    pid_t pid;
    int pidfd;
    struct fdwatch *watch;
    uv_timer_t timer;
    void (*on_ended)(void *arg);
    void *arg;
    bool ended, let_go;
};

static void on_timer_closed(uv_handle_t *timer) { free(timer->data); }

static void free_if_over(struct child *c)
{
    if (c->ended && c->let_go)
        uv_close((uv_handle_t *)&c->timer, on_timer_closed);
}

static void on_end(void *arg)
{
    struct child *c = arg;
    spawn_wait(c->pid);
    fdwatch_free(TAKE_PTR(c->watch));
    close(TAKE_FD(c->pidfd));
    c->ended = true;
    if (!c->let_go && c->on_ended)
        c->on_ended(c->arg);
    else
        free_if_over(c);
}

int child_start(uv_loop_t *loop, struct spawn *s, void (*ended)(void *arg), void *arg,
                struct child **ret, struct err *err)
{
    int pidfd = -1;
    s->new_session = true;
    s->pidfd = &pidfd;
    pid_t pid = spawn_start(s, err);
    s->pidfd = NULL; /* ours, and gone when we return */
    if (pid < 0)
        return pid;
    struct child *c = xcalloc(1, sizeof(*c));
    c->pid = pid;
    c->pidfd = pidfd;
    c->on_ended = ended;
    c->arg = arg;
    uv_timer_init(loop, &c->timer);
    c->timer.data = c;
    c->watch = fdwatch_new(loop, pidfd, UV_READABLE, on_end, c);
    *ret = c;
    return 0;
}

static void on_patience_over(uv_timer_t *timer)
{
    struct child *c = timer->data;
    if (!c->ended)
        kill(-c->pid, SIGKILL);
}

void child_let_go(struct child *c)
{
    c->let_go = true;
    if (!c->ended) {
        kill(-c->pid, SIGTERM);
        uv_timer_start(&c->timer, on_patience_over, KILL_AFTER_MS, 0);
    }
    free_if_over(c);
}
