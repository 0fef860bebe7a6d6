/* A second user of a store, for tests and benchmarks: another process that writes, watches or holds
 * a lease until it's done or killed. What it prints it has been told by the store: a line for each
 * acknowledged write or each event, at once.
 *
 *     store_peer append URL KEY COUNT SIZE      key = 1, 2, 3 … each expecting the one before;
 *                                               goes on from what is there; COUNT 0: for ever
 *     store_peer insist URL KEY COUNT SIZE      the same; when there is no space it says so and
 *                                               tries again after a line on its stdin
 *     store_peer increment URL KEY COUNT        adds 1, again after a conflict; silent
 *     store_peer watch URL PREFIX FROM COUNT US prints "rev key value-up-to-a-blank"; waits US
 *                                               microseconds after each; COUNT 0: for ever
 *     store_peer lease URL KEY TTL              holds a lease with KEY on it, kept alive for ever
 *     store_peer list URL PREFIX                prints as watch does */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>

#include "store/store.h"

static struct err err;

static void must(int r, const char *what)
{
    if (r >= 0)
        return;
    fprintf(stderr, "store_peer: %s: %s: %s\n", what, err_code_name(err.code), err.msg);
    exit(err.code);
}

static void wait_us(long us)
{
    nanosleep(&(struct timespec){us / 1000000, us % 1000000 * 1000}, NULL);
}

/* The number that the key holds, and its revision; 0 and 0 if there is no such key. */
static int64_t number_at(struct store *s, const char *key, int64_t *ret_rev)
{
    _cleanup_(kv_release) struct kv kv = {0};
    int r = store_get(s, key, &kv, &err);
    if (r != -ERR_NOT_FOUND)
        must(r, "get");
    *ret_rev = kv.mod_rev;
    return kv.value ? strtoll(kv.value, NULL, 10) : 0;
}

static int put_number(struct store *s, const char *key, int64_t n, size_t size, int64_t *rev)
{
    _cleanup_(txn_release) struct txn t = {0};
    _cleanup_(buf_release) struct buf value = BUF_INIT;
    buf_addf(&value, "%" PRId64 " ", n);
    while (value.len < size)
        buf_addc(&value, 'x');
    txn_expect(&t, key, *rev);
    txn_put(&t, key, buf_str(&value), 0);
    return store_txn(s, &t, rev, &err);
}

static void append(struct store *s, const char *key, long count, size_t size, bool insist)
{
    int64_t rev, n = number_at(s, key, &rev);
    char line[16];
    for (long i = 0; !count || i < count; i++) {
        int r;
        n++;
        while ((r = put_number(s, key, n, size, &rev)) == -ERR_NO_SPACE && insist) {
            printf("no_space %s\n", err.msg);
            if (!fgets(line, sizeof(line), stdin))
                return;
        }
        must(r, "append");
        printf("%" PRId64 " %" PRId64 "\n", n, rev);
    }
}

static void increment(struct store *s, const char *key, long count)
{
    for (long i = 0; i < count;) {
        int64_t rev, n = number_at(s, key, &rev);
        int r = put_number(s, key, n + 1, 0, &rev);
        if (r != -ERR_CONFLICT)
            must(r, "increment");
        i += r == 0;
    }
}

static void print(const struct kv *kv)
{
    const char *value = kv->value ? kv->value : "deleted";
    printf("%" PRId64 " %s %.*s\n", kv->mod_rev, kv->key, (int)strcspn(value, " "), value);
}

static void watch(struct store *s, const char *prefix, int64_t from, long count, long us)
{
    struct watch *w;
    must(store_watch(s, prefix, from, &w, &err), "watch");
    printf("watching\n");
    for (long seen = 0; !count || seen < count;) {
        struct kv kv;
        int r = watch_next(w, &kv, &err);
        must(r, "watch");
        if (r == 0) {
            poll(&(struct pollfd){watch_fd(w), POLLIN, 0}, 1, -1);
            continue;
        }
        print(&kv);
        kv_release(&kv);
        seen++;
        if (us)
            wait_us(us);
    }
    watch_close(w);
}

static void lease(struct store *s, const char *key, int64_t ttl)
{
    _cleanup_(txn_release) struct txn t = {0};
    int64_t id;
    must(store_lease_grant(s, ttl, &id, &err), "grant");
    txn_put(&t, key, STR("held"), id);
    must(store_txn(s, &t, NULL, &err), "put");
    printf("%" PRId64 "\n", id);
    for (;;) {
        wait_us(ttl * 1000000 / 4);
        must(store_lease_keepalive(s, id, &err), "keepalive");
    }
}

static void list(struct store *s, const char *prefix)
{
    _cleanup_(kv_list_release) struct kv_list l = {0};
    must(store_list(s, prefix, &l, &err), "list");
    for (size_t i = 0; i < l.n; i++)
        print(&l.items[i]);
}

static long number(int argc, char **argv, int i) { return i < argc ? atol(argv[i]) : 0; }

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    _cleanup_(store_closep) struct store *s = NULL;
    must(store_open(argv[2], &s, &err), "open");
    const char *verb = argv[1], *key = argv[3];
    if (streq(verb, "append") || streq(verb, "insist"))
        append(s, key, number(argc, argv, 4), (size_t)number(argc, argv, 5), streq(verb, "insist"));
    else if (streq(verb, "increment"))
        increment(s, key, number(argc, argv, 4));
    else if (streq(verb, "watch"))
        watch(s, key, number(argc, argv, 4), number(argc, argv, 5), number(argc, argv, 6));
    else if (streq(verb, "lease"))
        lease(s, key, number(argc, argv, 4));
    else if (streq(verb, "list"))
        list(s, key);
    else
        return 2;
    return 0;
}
