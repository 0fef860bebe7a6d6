/* A hand on a store, for tests that play another operator. Reads commands from stdin, answers each
 * with one line once it is done:
 *
 *     put KEY VALUE      ok REVISION
 *     del KEY            ok REVISION
 *     many N             the next N puts and dels are one transaction, answered once
 *     get KEY            REVISION VALUE, or "none"
 *     wait KEY TEXT      as get, once the value contains TEXT; or "late" after 30 s */
#include <poll.h>
#include <stdio.h>

#include "base/time.h"
#include "store/store.h"

static struct err err;

static int must(int r)
{
    if (r < 0) {
        printf("error %s\n", err.msg);
        exit(1);
    }
    return r;
}

static void add_write(struct txn *t, struct str line)
{
    struct str verb = str_cut(&line, ' '), key = str_cut(&line, ' ');
    _cleanup_free_ char *k = xstrndup(key.ptr, key.len);
    if (str_eq(verb, STR("put")))
        txn_put(t, k, line, 0);
    else
        txn_delete(t, k);
}

static char *read_line(void)
{
    static char *line;
    static size_t size;
    ssize_t n = getline(&line, &size, stdin);
    if (n < 0)
        exit(0);
    line[n - 1] = '\0';
    return line;
}

static void write_to(struct store *s, struct str line)
{
    _cleanup_(txn_release) struct txn t = {0};
    struct str rest = line, verb = str_cut(&rest, ' ');
    uint64_t n = 1;
    bool many = str_eq(verb, STR("many"));
    if (many)
        must(str_to_u64(rest, 1, STORE_OPS_MAX, &n, &err));
    for (uint64_t i = 0; i < n; i++)
        add_write(&t, many ? str_of(read_line()) : line);
    int64_t revision;
    must(store_txn(s, &t, &revision, &err));
    printf("ok %lld\n", (long long)revision);
}

static bool show(struct store *s, const char *key, const char *text)
{
    _cleanup_(kv_release) struct kv kv = {0};
    int r = store_get(s, key, &kv, &err);
    if (r == -ERR_NOT_FOUND && !text)
        return printf("none\n") > 0;
    if (r == -ERR_NOT_FOUND || (text && !strstr(kv.value, text)))
        return false;
    must(r);
    return printf("%lld %s\n", (long long)kv.mod_rev, kv.value) > 0;
}

static void wait_for(struct store *s, const char *key, const char *text)
{
    _cleanup_(watch_closep) struct watch *w = NULL;
    must(store_watch(s, key, 0, &w, &err));
    int64_t deadline = time_mono_ms() + 30000, left;
    while (!show(s, key, text)) {
        struct pollfd p = {watch_fd(w), POLLIN, 0};
        left = deadline - time_mono_ms();
        if (left <= 0 || poll(&p, 1, (int)left) == 0) {
            printf("late\n");
            return;
        }
        struct kv kv = {0};
        while (must(watch_next(w, &kv, &err)) > 0)
            kv_release(&kv);
    }
}

int main(int argc, char **argv)
{
    struct store *s;
    if (argc != 2)
        return 2;
    must(store_open(argv[1], &s, &err));
    for (;;) {
        char *line = read_line();
        struct str rest = str_of(line), verb = str_cut(&rest, ' '), key = str_cut(&rest, ' ');
        _cleanup_free_ char *k = xstrndup(key.ptr, key.len);
        if (str_eq(verb, STR("get")))
            show(s, k, NULL);
        else if (str_eq(verb, STR("wait")))
            wait_for(s, k, rest.ptr);
        else
            write_to(s, str_of(line));
        fflush(stdout);
    }
}
