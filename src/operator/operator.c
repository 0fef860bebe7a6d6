#include <signal.h>

#include "base/log.h"
#include "base/time.h"
#include "model/writers.h"
#include "operator/op.h"

uv_loop_t *operator_loop(struct op *op) { return &op->loop; }
const struct config *operator_config(struct op *op) { return op->config; }
struct mirror *operator_mirror(struct op *op) { return op->mirror; }
struct store *operator_store(struct op *op) { return op->store; }

static void do_nothing(uv_idle_t *idle) { (void)idle; }

void operator_poke(struct op *op)
{
    op->due = true;
    uv_idle_start(&op->not_idle, do_nothing);
}

static void on_alarm(uv_timer_t *timer)
{
    struct op *op = timer->data;
    op->wake_at = INT64_MAX;
    operator_poke(op);
}

void operator_wake_at(struct op *op, int64_t mono_ms)
{
    if (mono_ms >= op->wake_at)
        return;
    op->wake_at = mono_ms;
    int64_t in = mono_ms - time_mono_ms();
    uv_update_time(&op->loop);
    uv_timer_start(&op->alarm, on_alarm, in > 0 ? (uint64_t)in : 0, 0);
}

/* --- subjects -------------------------------------------------------------------------------- */

bool subject_app(const char *key, struct str *ret)
{
    struct str rest = str_of(key + 1);
    str_cut(&rest, '/');
    *ret = str_cut(&rest, '/');
    return ret->len > 0;
}

static void key_changed(struct op *op, const char *key)
{
    struct str subject;
    if (!streq(key, op->tenure.key) && op->desc->subject && op->desc->subject(key, &subject))
        dirty_add(&op->dirty, subject);
}

const char *operator_take(struct op *op) { return dirty_take(&op->dirty); }

void operator_touch(struct op *op, const char *subject)
{
    dirty_add(&op->dirty, str_of(subject));
    operator_poke(op);
}

void operator_touch_at(struct op *op, const char *subject, int64_t mono_ms)
{
    dirty_add_at(&op->dirty, str_of(subject), mono_ms);
    operator_wake_at(op, mono_ms);
}

static void fail(struct op *op, const char *doing, const struct err *err)
{
    log_error("%s: %s", doing, err->msg);
    op->failed = true;
    uv_stop(&op->loop);
}

/* --- watching -------------------------------------------------------------------------------- */

void op_touch_all(struct op *op)
{
    for (size_t i = 0; i < op->prefixes.n; i++)
        for (struct mirror_iter k = mirror_iter(op->mirror, op->prefixes.items[i]);
             mirror_next(&k);)
            key_changed(op, k.key);
    operator_poke(op);
}

static int list(struct op *op, int64_t *ret_revision, struct err *err)
{
    _cleanup_(kv_list_release) struct kv_list l = {0};
    int r = store_list_many(op->store, (const char *const *)strv_argv(&op->prefixes), &l, err);
    if (r < 0)
        return r;
    op_touch_all(op);
    for (size_t i = 0; i < op->prefixes.n; i++)
        mirror_forget(op->mirror, op->prefixes.items[i], l.revision);
    for (size_t i = 0; i < l.n; i++) {
        key_changed(op, l.items[i].key);
        mirror_apply(op->mirror, &l.items[i]);
    }
    *ret_revision = l.revision;
    return 0;
}

static void on_watch(uv_poll_t *poll, int status, int events);

static int follow(struct op *op, struct err *err)
{
    int64_t revision;
    int r = list(op, &revision, err);
    if (r < 0 || (r = store_watch_many(op->store, (const char *const *)strv_argv(&op->prefixes),
                                       revision + 1, &op->watch, err)) < 0)
        return err_wrap(err, "watching the store");
    uv_poll_init(&op->loop, &op->watch_poll, watch_fd(op->watch));
    op->watch_poll.data = op;
    uv_poll_start(&op->watch_poll, UV_READABLE, on_watch);
    operator_poke(op);
    return 0;
}

static void on_unfollowed(uv_handle_t *handle)
{
    struct op *op = handle->data;
    struct err err;
    if (follow(op, &err) < 0)
        fail(op, "the store", &err);
}

static void unfollow(struct op *op)
{
    uv_poll_stop(&op->watch_poll);
    watch_close(TAKE_PTR(op->watch));
    uv_close((uv_handle_t *)&op->watch_poll, on_unfollowed);
}

/* Takes in all that is there. 0, or the error the watch ended with. */
static int drain(struct op *op, struct err *err)
{
    struct kv kv = {0};
    int r;
    while ((r = watch_next(op->watch, &kv, err)) > 0) {
        key_changed(op, kv.key);
        if (mirror_apply(op->mirror, &kv))
            operator_poke(op);
        kv_release(&kv);
    }
    return r;
}

void op_take_in(struct op *op)
{
    struct err err;
    int r = op->watch ? drain(op, &err) : 0;
    if (r == -ERR_COMPACTED) /* we were too slow: list again */
        unfollow(op);
    else if (r < 0)
        fail(op, "watching the store", &err);
    leader_look(op);
    op_settle(op);
}

static void on_watch(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    op_take_in(poll->data);
}

static void on_before_wait(uv_prepare_t *prepare)
{
    struct op *op = prepare->data;
    uv_idle_stop(&op->not_idle);
    if (op->sent)
        return;
    if (op->due && leader_may_run(op)) {
        int64_t now = time_mono_ms(), next = dirty_due(&op->dirty, now);
        if (next != INT64_MAX)
            operator_wake_at(op, next);
        op->due = false;
        op->desc->reconcile(op, op->ctx, now);
    }
    if (op->queue.n)
        op_send(op);
    else
        dirty_settle(&op->dirty, true);
}

/* --- life ------------------------------------------------------------------------------------ */

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    struct op *op = handle->data;
    if (op->desc->stop)
        op->desc->stop(op, op->ctx);
    if (op->queue.n)
        op_send(op);
    leader_resign(op);
    uv_stop(&op->loop);
}

static void init_handles(struct op *op)
{
    uv_loop_init(&op->loop);
    op->loop.data = op;
    uv_prepare_init(&op->loop, &op->before_wait);
    uv_idle_init(&op->loop, &op->not_idle);
    uv_timer_init(&op->loop, &op->alarm);
    uv_signal_init(&op->loop, &op->term);
    uv_signal_init(&op->loop, &op->interrupt);
    op->before_wait.data = op->alarm.data = op->term.data = op->interrupt.data = op;
    uv_prepare_start(&op->before_wait, on_before_wait);
    uv_signal_start(&op->term, on_signal, SIGTERM);
    uv_signal_start(&op->interrupt, on_signal, SIGINT);
    signal(SIGPIPE, SIG_IGN);
}

static void init_prefixes(struct op *op)
{
    for (size_t i = 0; op->desc->watches[i]; i++) {
        _cleanup_free_ char *prefix = key_prefix(op->desc->watches[i], NULL);
        if (!strv_has(&op->prefixes, prefix))
            strv_add(&op->prefixes, prefix);
    }
    strv_add(&op->prefixes, op->tenure.key);
}

#ifdef CHECK_WRITES
/* The end of who writes what isn't its own. */
static void check_write(const char *who, const char *key, struct str before, struct str after)
{
    struct err err;
    if (write_check(who, key, before, after, &err) < 0) {
        log_error("%s", err.msg);
        abort();
    }
}
#endif

static int open_store(struct op *op, struct store **ret, struct err *err)
{
    int r = store_open(op->config->store_url, ret, err);
#ifdef CHECK_WRITES
    if (r == 0 && !str_starts(str_of(op->desc->name), STR("fake_")))
        store_on_write(*ret, check_write, op->desc->name);
#endif
    return r;
}

static int begin(struct op *op, struct err *err)
{
    struct store *for_writer;
    int r = open_store(op, &op->store, err);
    if (r < 0 || (r = open_store(op, &for_writer, err)) < 0)
        return r;
    op->writer = writer_start(&op->loop, for_writer);
    leader_init(op);
    init_prefixes(op);
    if ((r = follow(op, err)) < 0)
        return r;
    leader_look(op);
    return op->desc->start ? op->desc->start(op, op->ctx, err) : 0;
}

int operator_run(const struct operator_desc *d, const struct config *c, void *ctx)
{
    struct op op = {
        .desc = d, .config = c, .ctx = ctx, .wake_at = INT64_MAX, .mirror = mirror_new()};
    struct err err;
    init_handles(&op);
    if (begin(&op, &err) < 0)
        fail(&op, "starting", &err);
    else
        uv_run(&op.loop, UV_RUN_DEFAULT);
    /* The process ends now; only the store wants an orderly farewell, and signals know of us. */
    uv_signal_stop(&op.term);
    uv_signal_stop(&op.interrupt);
    writer_stop(op.writer);
    watch_close(op.watch);
    store_close(op.store);
    mirror_free(op.mirror);
    dirty_release(&op.dirty);
    leader_end(&op);
    strv_release(&op.prefixes);
    return op.failed ? 1 : 0;
}
