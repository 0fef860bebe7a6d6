#include "operator/writer.h"

#include "base/mem.h"

struct jobs {
    struct job *first, *last;
};

struct writer {
    struct store *store;
    uv_thread_t thread;
    uv_async_t some_done;
    uv_mutex_t lock; /* of what follows */
    uv_cond_t news;
    struct jobs todo, done;
    bool ending;
};

static void push(struct jobs *q, struct job *j)
{
    j->next = NULL;
    if (q->last)
        q->last->next = j;
    else
        q->first = j;
    q->last = j;
}

static struct job *pop(struct jobs *q)
{
    struct job *j = q->first;
    if (j)
        q->first = j->next;
    if (!q->first)
        q->last = NULL;
    return j;
}

/* NULL: it is to end. */
static struct job *next_job(struct writer *w)
{
    uv_mutex_lock(&w->lock);
    while (!w->todo.first && !w->ending)
        uv_cond_wait(&w->news, &w->lock);
    struct job *j = pop(&w->todo);
    uv_mutex_unlock(&w->lock);
    return j;
}

static void run(void *arg)
{
    struct writer *w = arg;
    for (struct job *j; (j = next_job(w));) {
        j->work(j, w->store);
        uv_mutex_lock(&w->lock);
        push(&w->done, j);
        uv_mutex_unlock(&w->lock);
        uv_async_send(&w->some_done);
    }
}

static void on_some_done(uv_async_t *async)
{
    struct writer *w = async->data;
    struct job *j;
    do {
        uv_mutex_lock(&w->lock);
        j = pop(&w->done);
        uv_mutex_unlock(&w->lock);
        if (j)
            j->done(j);
    } while (j);
}

struct writer *writer_start(uv_loop_t *loop, struct store *store)
{
    struct writer *w = xcalloc(1, sizeof(*w));
    w->store = store;
    uv_mutex_init(&w->lock);
    uv_cond_init(&w->news);
    uv_async_init(loop, &w->some_done, on_some_done);
    w->some_done.data = w;
    if (uv_thread_create(&w->thread, run, w) < 0)
        abort();
    return w;
}

void writer_do(struct writer *w, struct job *j)
{
    uv_mutex_lock(&w->lock);
    push(&w->todo, j);
    uv_cond_signal(&w->news);
    uv_mutex_unlock(&w->lock);
}

void writer_stop(struct writer *w)
{
    if (!w)
        return;
    uv_mutex_lock(&w->lock);
    w->ending = true;
    uv_cond_signal(&w->news);
    uv_mutex_unlock(&w->lock);
    uv_thread_join(&w->thread);
    store_close(w->store);
    free(w); /* the loop has its handle still, and doesn't run any more */
}
