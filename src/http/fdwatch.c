#include "http/fdwatch.h"

struct fdwatch {
    uv_poll_t poll;
    int events;
    void (*ready)(void *arg);
    void *arg;
};

static void on_poll(uv_poll_t *poll, int status, int events)
{
    (void)status; /* an error is for the next read or write to find */
    (void)events;
    struct fdwatch *w = (struct fdwatch *)poll;
    w->ready(w->arg);
}

struct fdwatch *fdwatch_new(uv_loop_t *loop, int fd, int events, void (*ready)(void *arg),
                            void *arg)
{
    struct fdwatch *w = xmalloc(sizeof(*w));
    *w = (struct fdwatch){.events = events, .ready = ready, .arg = arg};
    uv_poll_init(loop, &w->poll, fd);
    uv_poll_start(&w->poll, events, on_poll);
    return w;
}

void fdwatch_pause(struct fdwatch *w) { uv_poll_stop(&w->poll); }
void fdwatch_go_on(struct fdwatch *w) { uv_poll_start(&w->poll, w->events, on_poll); }

static void on_closed(uv_handle_t *handle) { free(handle); }

void fdwatch_free(struct fdwatch *w)
{
    if (w)
        uv_close((uv_handle_t *)&w->poll, on_closed);
}
