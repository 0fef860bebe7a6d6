#include "api/audit.h"

#include "base/digest.h"

enum { DROPPED_AT_ONCE = 100 };

static int event_at(struct store *s, int64_t number, struct event_head *ret, struct err *err)
{
    _cleanup_(kv_release) struct kv kv = {0};
    _cleanup_free_ char *key = key_event(number);
    int r = store_get(s, key, &kv, err);
    if (r < 0)
        return r;
    ret->number = number;
    sha256_hex((struct str){kv.value, kv.value_len}, ret->hash);
    return 0;
}

int audit_catch_up(struct api *api, struct err *err)
{
    struct event_head *head = &api->last_event;
    int r;
    do
        r = event_at(operator_store(api->op), head->number + 1, head, err);
    while (r == 0);
    return r == -ERR_NOT_FOUND ? 0 : r;
}

static int find_oldest(struct store *s, int64_t *ret, struct err *err)
{
    _cleanup_(kv_release) struct kv kv = {0};
    _cleanup_(audit_release) struct audit a = {.oldest = 1};
    _cleanup_free_ char *key = key_audit();
    int r = store_get(s, key, &kv, err);
    if (r == 0)
        r = model_decode(&audit_schema, (struct str){kv.value, kv.value_len}, &a, err);
    if (r < 0 && r != -ERR_NOT_FOUND)
        return r;
    *ret = a.oldest;
    return 0;
}

/* The numbers have no gap, so that doubling and halving finds the last one. */
int audit_find_ends(struct api *api, struct err *err)
{
    struct store *s = operator_store(api->op);
    struct event_head low = {0};
    int64_t step = 1;
    int r = find_oldest(s, &low.oldest, err);
    if (r < 0)
        return err_wrap(err, "finding the beginning of the audit log");
    low.number = low.oldest - 1;
    while ((r = event_at(s, low.number + step, &low, err)) == 0)
        step *= 2;
    for (; r == -ERR_NOT_FOUND && step; step /= 2)
        if ((r = event_at(s, low.number + step, &low, err)) == 0)
            r = -ERR_NOT_FOUND;
    if (r != -ERR_NOT_FOUND)
        return err_wrap(err, "finding the end of the audit log");
    api->last_event = low;
    return 0;
}

/* A batch with each event while there are too many: a lower setting gets its way little by little.
 */
static void drop_old(struct change *c, struct event_head *log)
{
    if (log->number - log->oldest < c->api->config->retain_events + DROPPED_AT_ONCE)
        return;
    for (int i = 0; i < DROPPED_AT_ONCE; i++) {
        _cleanup_free_ char *key = key_event(log->oldest++);
        txn_delete(&c->txn, key);
    }
    _cleanup_free_ char *key = key_audit();
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    model_encode(&audit_schema, &(struct audit){.oldest = log->oldest}, &json);
    txn_put(&c->txn, key, buf_str(&json), 0);
}

void audit_add(struct change *c, const char *what, const char *app, struct event_head *ret)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    struct event_head *last = &c->api->last_event;
    struct event e = {.number = last->number + 1,
                      .when = c->now,
                      .who = c->who->user,
                      .from = c->who->from,
                      .what = (char *)what,
                      .app = (char *)app,
                      .detail = c->detail.ptr,
                      .previous = last->hash};
    _cleanup_free_ char *key = key_event(e.number);
    model_encode(&event_schema, &e, &json);
    txn_expect(&c->txn, key, 0);
    txn_put(&c->txn, key, buf_str(&json), 0);
    *ret = (struct event_head){.number = e.number, .oldest = last->oldest};
    sha256_hex(buf_str(&json), ret->hash);
    drop_old(c, ret);
}
