#include "builder/refresher.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/time.h"
#include "builder/builder.h"
#include "os/file.h"

enum { FIRST_DELAY_MS = 10000, RETRY_MS = 3600 * 1000, NICE = 15 };

/* --- pure ------------------------------------------------------------------------------------ */

int64_t refresh_due(int64_t checked, int64_t made, int64_t hours)
{
    int64_t last = MAX(checked, made);
    return hours && last ? last + hours * 3600 * 1000000 : INT64_MAX;
}

static void take(char **to, const char *from)
{
    free(*to);
    *to = from ? xstrdup(from) : NULL;
}

void refresh_merge(struct stack *found, const struct stack *before)
{
    if (found->checked || !before ||
        !streq(found->made ? found->made : "", before->made ? before->made : ""))
        return;
    take(&found->checked, before->checked);
    if (!found->updates.n)
        for (size_t i = 0; i < before->updates.n; i++)
            strv_add(&found->updates, before->updates.items[i]);
    if (!found->error)
        take(&found->error, before->error);
}

/* --- the worker ------------------------------------------------------------------------------ */

static struct stacks stacks_of(const struct config *c, struct image_store *images,
                               const struct cancel *cancel, struct output *out)
{
    return (struct stacks){.config = c, .images = images, .cancel = cancel, .out = out};
}

/* Priorities are of threads, and inherited by what they start. */
static void on_work(uv_work_t *work)
{
    struct refresher *f = work->data;
    struct output out = {.fd = -1};
    struct stacks s = stacks_of(operator_config(f->op), f->images, &f->cancel, &out);
    setpriority(PRIO_PROCESS, 0, NICE);
    image_interrupt_on(&f->cancelled);
    refresh_run(&s, &f->found, &f->why);
    image_interrupt_on(NULL);
    setpriority(PRIO_PROCESS, 0, 0);
}

static void on_done(uv_work_t *work, int status)
{
    (void)status;
    struct refresher *f = work->data;
    f->running = false;
    f->done = true;
    operator_poke(f->op);
}

static void start(struct refresher *f)
{
    f->running = true;
    f->why = (struct err){0};
    f->work.data = f;
    uv_queue_work(operator_loop(f->op), &f->work, on_work, on_done);
}

/* --- what is known --------------------------------------------------------------------------- */

static bool among(const struct list *found, struct str name)
{
    for (size_t i = 0; i < found->n; i++)
        if (str_eq(name, str_of(list_at(found, struct stack, i)->name)))
            return true;
    return false;
}

static void publish(struct refresher *f, const struct list *found)
{
    struct mirror *m = operator_mirror(f->op);
    for (size_t i = 0; i < found->n; i++) {
        struct stack *stack = list_at(found, struct stack, i);
        _cleanup_free_ char *key = key_stack(stack->name);
        const struct stack *before = mirror_get(m, key, &stack_schema, NULL);
        refresh_merge(stack, before);
        if (!before || !model_equal(&stack_schema, stack, before))
            operator_put(f->op, key, &stack_schema, stack);
    }
    for (struct mirror_iter i = mirror_of(m, &stack_schema, NULL); mirror_next(&i);)
        if (!among(found, i.parts[0]))
            operator_delete(f->op, i.key);
}

/* Builds make stacks too. */
static void publish_new(struct refresher *f)
{
    struct stat st;
    _cleanup_free_ char *refs = path_join(image_store_dir(f->images), "refs");
    if (stat(refs, &st) < 0 ||
        (st.st_mtim.tv_sec == f->listed.tv_sec && st.st_mtim.tv_nsec == f->listed.tv_nsec))
        return;
    struct list found = {0};
    struct err err;
    struct stacks s = stacks_of(operator_config(f->op), f->images, NULL, NULL);
    f->listed = st.st_mtim;
    if (refresh_list(&s, &found, &err) < 0)
        log_warning("listing the stacks: %s", err.msg);
    else
        publish(f, &found);
    refresh_list_release(&found);
}

static void take_in(struct refresher *f, int64_t now)
{
    f->done = false;
    bool failed = f->why.code != 0, cancelled = f->why.code == ERR_CANCELLED;
    if (failed && !cancelled && !f->complained)
        log_warning("looking for newer packages of the stacks: %s; the stacks there are stay in "
                    "use",
                    f->why.msg);
    if (!failed)
        log_info("the stacks have the newest packages of Debian");
    f->complained = failed;
    f->earliest = now + (failed ? RETRY_MS : 0);
    publish(f, &f->found);
    refresh_list_release(&f->found);
}

/* --- when ------------------------------------------------------------------------------------ */

static int64_t when(const char *text)
{
    return text && *text ? MAX(time_parse(text), (int64_t)0) : 0;
}

/* Of Debian's; what comes from the npm registry is not looked after. */
static int64_t due(struct refresher *f)
{
    int64_t checked = 0, made = 0;
    const struct stack *s;
    for (struct mirror_iter i = mirror_of(operator_mirror(f->op), &stack_schema, NULL);
         (s = mirror_each(&i));) {
        if (!streq(s->name, "stack-run"))
            continue;
        checked = when(s->checked);
        made = when(s->made);
    }
    return refresh_due(checked, made, operator_config(f->op)->stack_refresh);
}

void refresher_pass(struct refresher *f, int64_t now)
{
    if (f->running)
        return;
    if (f->done)
        take_in(f, now);
    publish_new(f);
    int64_t wall = time_wall_us(), at = due(f);
    if (at == INT64_MAX)
        return;
    int64_t wait = MAX((at - wall) / 1000, f->earliest - now);
    if (wait > 0)
        operator_wake_at(f->op, now + wait);
    else
        start(f);
}

void refresher_init(struct refresher *f, struct op *op, struct image_store *images)
{
    f->op = op;
    f->images = images;
    f->earliest = time_mono_ms() + FIRST_DELAY_MS;
    f->cancel = (struct cancel){eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), &f->cancelled};
}

void refresher_stop(struct refresher *f)
{
    f->cancelled = true;
    if (f->cancel.fd >= 0 && eventfd_write(f->cancel.fd, 1) < 0)
        log_error("stopping the look after stacks: %m");
}

/* --- davitd stacks --------------------------------------------------------------------------- */

static int publish_to_store(const struct config *c, const struct list *found, struct err *err)
{
    _cleanup_(store_closep) struct store *store = NULL;
    int r = store_open(c->store_url, &store, err);
    for (size_t i = 0; !r && i < found->n; i++) {
        struct stack *stack = list_at(found, struct stack, i);
        _cleanup_free_ char *key = key_stack(stack->name);
        _cleanup_(kv_release) struct kv kv = {0};
        _cleanup_(stack_release) struct stack before = {0};
        _cleanup_(txn_release) struct txn t = {0};
        _cleanup_(buf_release) struct buf json = BUF_CAP(STORE_VALUE_MAX);
        if (store_get(store, key, &kv, NULL) == 0 &&
            model_decode(&stack_schema, (struct str){kv.value, kv.value_len}, &before, NULL) == 0)
            refresh_merge(stack, &before);
        model_encode(&stack_schema, stack, &json);
        txn_put(&t, key, buf_str(&json), 0);
        r = store_txn(store, &t, NULL, err);
    }
    return r;
}

static int refresh(const struct stacks *s, struct err *err)
{
    struct list found = {0};
    struct err unsaid;
    int r = refresh_run(s, &found, err);
    int told = publish_to_store(s->config, &found, r < 0 ? &unsaid : err);
    if (!r && !told)
        output_step(s->out, "The stacks have the newest packages of Debian");
    refresh_list_release(&found);
    return r < 0 ? r : told;
}

int builder_stacks(const struct config *c, bool anew, struct err *err)
{
    _cleanup_(image_store_closep) struct image_store *images = NULL;
    _cleanup_(output_close) struct output out = {.fd = -1};
    _cleanup_(strv_release) struct strv layers = {0};
    int r = image_store_open(c->images, (uid_t)c->uid_base, &images, err);
    output_to(&out, fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3));
    struct stacks s = stacks_of(c, images, NULL, &out);
    if (!r)
        r = stack_layers(&s, "stack-run", &layers, err);
    return r < 0 || !anew ? r : refresh(&s, err);
}
