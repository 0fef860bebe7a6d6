/* Building transactions, and the rules that hold for every backend. */
#include "base/array.h"
#include "store/backend.h"

void txn_release(struct txn *t)
{
    for (size_t i = 0; i < t->n; i++) {
        free(t->ops[i].key);
        free(t->ops[i].value);
    }
    free(t->ops);
    *t = (struct txn){0};
}

static struct txn_op *add(struct txn *t, enum txn_op_type type, const char *key)
{
    struct txn_op *op = array_add(t->ops, t->n);
    *op = (struct txn_op){.type = type, .key = xstrdup(key)};
    return op;
}

void txn_expect(struct txn *t, const char *key, int64_t mod_rev)
{
    add(t, TXN_EXPECT, key)->mod_rev = mod_rev;
}

void txn_put(struct txn *t, const char *key, struct str value, int64_t lease)
{
    struct txn_op *op = add(t, TXN_PUT, key);
    op->value = xmalloc(value.len + 1);
    if (value.len)
        memcpy(op->value, value.ptr, value.len);
    op->value[value.len] = '\0';
    op->value_len = value.len;
    op->lease = lease;
}

void txn_delete(struct txn *t, const char *key) { add(t, TXN_DELETE, key); }

void txn_delete_prefix(struct txn *t, const char *prefix) { add(t, TXN_DELETE_PREFIX, prefix); }

int key_check(const char *key, const char *what, struct err *err)
{
    if (key[0] != '/')
        return err_set(err, ERR_INVALID, "%s \"%.64s\" doesn't start with a slash", what, key);
    size_t len = strlen(key);
    if (len > STORE_KEY_MAX)
        return err_set(err, ERR_TOO_LARGE, "%s \"%.64s...\" has %zu bytes, at most %d are allowed",
                       what, key, len, STORE_KEY_MAX);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)key[i] < ' ' || key[i] == 0x7f)
            return err_set(err, ERR_INVALID, "%s \"%.*s...\" has a control character (byte %zu)",
                           what, (int)MIN(i, 64), key, i + 1);
    return 0;
}

static int op_check(const struct txn_op *op, struct err *err)
{
    int r = key_check(op->key, op->type == TXN_DELETE_PREFIX ? "prefix" : "key", err);
    if (r < 0)
        return r;
    if (op->value_len > STORE_VALUE_MAX)
        return err_set(err, ERR_TOO_LARGE, "the value of %s has %zu bytes, at most %d are allowed",
                       op->key, op->value_len, STORE_VALUE_MAX);
    if (op->mod_rev < 0 || op->lease < 0)
        return err_set(err, ERR_INVALID, "%s: a revision or lease can't be negative", op->key);
    return 0;
}

static int by_key(const void *a, const void *b)
{
    const struct txn_op *const *x = a, *const *y = b;
    return strcmp((*x)->key, (*y)->key);
}

/* Whether a and b, whose key starts with a's, both write one key, and not only to delete it. */
static bool clash(const struct txn_op *a, const struct txn_op *b)
{
    bool same = streq(a->key, b->key);
    return (b->type == TXN_PUT && (same || a->type == TXN_DELETE_PREFIX)) ||
           (a->type == TXN_PUT && same);
}

/* A key that is put may not be written by anything else in the transaction. In the order of keys,
 * all that a prefix covers stands right behind it. */
static int overlap_check(const struct txn *t, struct err *err)
{
    _cleanup_free_ const struct txn_op **writes = xmalloc((t->n + 1) * sizeof(*writes));
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++)
        if (t->ops[i].type != TXN_EXPECT)
            writes[n++] = &t->ops[i];
    qsort(writes, n, sizeof(*writes), by_key);
    for (size_t i = 0; i < n; i++) {
        struct str key = str_of(writes[i]->key);
        for (size_t j = i + 1; j < n && str_starts(str_of(writes[j]->key), key); j++)
            if (clash(writes[i], writes[j]))
                return err_set(err, ERR_INVALID, "%s is written twice in one transaction",
                               writes[j]->key);
    }
    return 0;
}

int txn_check(const struct txn *t, struct err *err)
{
    if (t->n > STORE_OPS_MAX)
        return err_set(err, ERR_TOO_LARGE,
                       "a transaction of %zu operations, at most %d are allowed", t->n,
                       STORE_OPS_MAX);
    size_t bytes = 0;
    for (size_t i = 0; i < t->n; i++) {
        int r = op_check(&t->ops[i], err);
        if (r < 0)
            return r;
        bytes += strlen(t->ops[i].key) + t->ops[i].value_len;
    }
    if (bytes > STORE_TXN_MAX)
        return err_set(err, ERR_TOO_LARGE, "a transaction of %zu bytes, at most %d are allowed",
                       bytes, STORE_TXN_MAX);
    return overlap_check(t, err);
}

char *prefix_end(const char *prefix)
{
    char *end = xstrdup(prefix);
    size_t n = strlen(end);
    while (n && (unsigned char)end[n - 1] == 0xff)
        end[--n] = '\0';
    if (n)
        end[n - 1]++;
    return end;
}
