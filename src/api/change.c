#include "api/change.h"

#include "api/audit.h"
#include "base/time.h"

enum { TRIES = 16 };

const struct identity identity_davit = {
    .user = (char *)"davit", .from = (char *)"api", .role = ROLE_ADMIN};

/* --- inside a change ------------------------------------------------------------------------- */

int change_read(struct change *c, const char *key, const struct schema *s, void *ret,
                struct err *err)
{
    _cleanup_(kv_release) struct kv kv = {0};
    int r = store_get(operator_store(c->api->op), key, &kv, err);
    if (r < 0 && r != -ERR_NOT_FOUND)
        return r;
    txn_expect(&c->txn, key, kv.mod_rev);
    return r < 0 ? r : model_decode(s, (struct str){kv.value, kv.value_len}, ret, err);
}

void change_put(struct change *c, const char *key, const struct schema *s, const void *value)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    model_encode(s, value, &json);
    txn_put(&c->txn, key, buf_str(&json), 0);
    strv_add(&c->keys, key);
}

/* We were not heard of for so long that our lease ended; another is on its way. */
static int no_lease(struct err *err)
{
    err_set(err, ERR_UNAVAILABLE, "the api was away from the store and is just back");
    return err_hint(err, "try again");
}

int change_hold(struct change *c, const char *key, const struct schema *s, const void *value,
                struct err *err)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    int64_t lease = operator_lease(c->api->op);
    if (!lease)
        return no_lease(err);
    model_encode(s, value, &json);
    txn_put(&c->txn, key, buf_str(&json), lease);
    strv_add(&c->keys, key);
    return 0;
}

void change_new(struct change *c, const char *key, const struct schema *s, const void *value)
{
    txn_expect(&c->txn, key, 0);
    change_put(c, key, s, value);
}

void change_delete(struct change *c, const char *key)
{
    txn_delete(&c->txn, key);
    strv_add(&c->keys, key);
}

void change_delete_prefix(struct change *c, const char *prefix)
{
    txn_delete_prefix(&c->txn, prefix);
    strv_add(&c->gone, prefix);
}

static void change_release(struct change *c)
{
    txn_release(&c->txn);
    strv_release(&c->keys);
    strv_release(&c->gone);
    buf_release(&c->detail);
}

/* --- committing ------------------------------------------------------------------------------ */

/* The watch would bring it too, but only after the answer. */
static void into_mirror(struct change *c, int64_t revision)
{
    struct mirror *m = operator_mirror(c->api->op);
    for (size_t i = 0; i < c->gone.n; i++)
        mirror_forget(m, c->gone.items[i], revision);
    for (size_t i = 0; i < c->keys.n; i++) {
        struct kv kv = {0};
        if (store_get(operator_store(c->api->op), c->keys.items[i], &kv, NULL) < 0)
            kv = (struct kv){.key = xstrdup(c->keys.items[i]), .mod_rev = revision};
        mirror_apply(m, &kv);
        kv_release(&kv);
    }
    operator_poke(c->api->op);
}

static int attempt(struct change *c, const char *what, const char *app, change_fn *fn, void *arg,
                   struct err *err)
{
    struct event_head next;
    int64_t revision;
    time_rfc3339(time_wall_us(), c->now);
    int r = fn(c, arg, err);
    if (r)
        return MIN(r, 0);
    next = c->api->last_event;
    if (what)
        audit_add(c, what, app, &next);
    r = store_txn(operator_store(c->api->op), &c->txn, &revision, err);
    if (r < 0)
        return r == -ERR_NOT_FOUND ? no_lease(err) : r;
    c->api->last_event = next;
    into_mirror(c, revision);
    return 0;
}

/* After a conflict: what the function saw in the mirror may be what was old. */
static int refresh(struct api *api, const char *app, struct err *err)
{
    _cleanup_(kv_list_release) struct kv_list l = {0};
    int r = audit_catch_up(api, err);
    if (r < 0 || !app)
        return r;
    _cleanup_free_ char *key = key_app(app), *prefix = key_below(key);
    if ((r = store_list(operator_store(api->op), prefix, &l, err)) < 0)
        return r;
    for (size_t i = 0; i < l.n; i++)
        mirror_apply(operator_mirror(api->op), &l.items[i]);
    return 0;
}

int change_make(struct api *api, const struct identity *who, const char *what, const char *app,
                change_fn *fn, void *arg, struct err *err)
{
    int r = 0;
    for (int i = 0; i < TRIES; i++) {
        _cleanup_(change_release) struct change c = {
            .api = api, .who = who, .detail = BUF_CAP(4096)};
        struct err why = {0};
        r = attempt(&c, what, app, fn, arg, &why);
        if (r != -ERR_CONFLICT) {
            if (r < 0 && err)
                *err = why;
            return r;
        }
        if ((r = refresh(api, app, err)) < 0)
            return r;
    }
    err_set(err, ERR_CONFLICT, "others keep changing the same");
    return err_hint(err, "try again");
}
