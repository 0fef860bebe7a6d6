/* The stopwatch of bench/store.py. Prints lines "name microseconds".
 *
 *     store_bench commit FOLDER N   a durable put into a store there, turn by turn with one
 *                                   fdatasync of the same bytes into a file beside it
 *     store_bench event URL N       from the start of a put until another process has its event;
 *                                   URL: a store's, or http://HOST:PORT of an etcd
 *
 * The other process is this program again (`store_bench watch URL N`), which says on stdout that it
 * listens, and then answers each event with a line. */
#include <curl/curl.h>
#include <fcntl.h>
#include <nettle/base64.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>

#include "os/spawn.h"
#include "store/store.h"

enum { VALUE_LEN = 256, KEYS = 100, WARM_UP = 50, PAUSE_US = 500 };

static struct err err;
static char value_text[VALUE_LEN + 1];

static void must(int r, const char *what)
{
    if (r >= 0)
        return;
    fprintf(stderr, "store_bench: %s: %s\n", what, err.msg);
    exit(1);
}

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(const char *name, double *us, size_t n)
{
    qsort(us, n, sizeof(*us), by_size);
    printf("%s.p50 %.1f\n%s.p99 %.1f\n", name, us[n / 2], name, us[n * 99 / 100]);
}

/* -- a store of either kind to put into -- */

struct sink {
    struct store *s;
    CURL *etcd;
    char *url;
};

static size_t discard(char *data, size_t size, size_t n, void *ctx)
{
    (void)data;
    (void)ctx;
    return size * n;
}

static CURL *etcd_request(const char *url, const char *path)
{
    CURL *c = curl_easy_init();
    _cleanup_free_ char *whole = xasprintf("%s/v3/%s", url, path);
    curl_easy_setopt(c, CURLOPT_URL, whole);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, discard);
    curl_easy_setopt(c, CURLOPT_TCP_NODELAY, 1L);
    return c;
}

static void etcd_put(struct sink *k, const char *key)
{
    char key64[128] = "", value64[2 * VALUE_LEN] = "", body[1024];
    base64_encode_raw(key64, strlen(key), (const uint8_t *)key);
    base64_encode_raw(value64, VALUE_LEN, (const uint8_t *)value_text);
    snprintf(body, sizeof(body), "{\"key\":\"%s\",\"value\":\"%s\"}", key64, value64);
    curl_easy_setopt(k->etcd, CURLOPT_POSTFIELDS, body);
    if (curl_easy_perform(k->etcd) != CURLE_OK)
        must(err_set(&err, ERR_IO, "etcd doesn't answer"), "put");
}

static struct sink sink_open(const char *url)
{
    struct sink k = {0};
    if (strncmp(url, "http", 4) == 0)
        k.etcd = etcd_request(url, "kv/put");
    else
        must(store_open(url, &k.s, &err), "open");
    return k;
}

static void sink_put(struct sink *k, size_t i)
{
    char key[32];
    snprintf(key, sizeof(key), "/bench/%zu", i % KEYS);
    if (k->etcd) {
        etcd_put(k, key);
        return;
    }
    _cleanup_(txn_release) struct txn t = {0};
    txn_put(&t, key, (struct str){value_text, VALUE_LEN}, 0);
    must(store_txn(k->s, &t, NULL, &err), "put");
}

static void sink_close(struct sink *k)
{
    store_close(k->s);
    if (k->etcd)
        curl_easy_cleanup(k->etcd);
}

/* -- commit -- */

static double sync_once(int fd, size_t i, bool append)
{
    double begin = now_us();
    off_t at = (off_t)(append ? i : i % KEYS) * VALUE_LEN;
    if (pwrite(fd, value_text, VALUE_LEN, at) != VALUE_LEN || fdatasync(fd) < 0)
        must(err_errno(&err, "syncing"), "file");
    return now_us() - begin;
}

static void bench_commit(const char *dir, size_t n)
{
    _cleanup_free_ char *url = xasprintf("sqlite://%s/commit.db", dir);
    _cleanup_free_ char *path = xasprintf("%s/plain", dir);
    _cleanup_free_ char *log_path = xasprintf("%s/log", dir);
    _cleanup_free_ double *davit = xcalloc(n, sizeof(double));
    _cleanup_free_ double *in_place = xcalloc(n, sizeof(double));
    _cleanup_free_ double *append = xcalloc(n, sizeof(double));
    _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    _cleanup_close_ int log = open(log_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct sink k = sink_open(url);
    for (size_t i = 0; i < KEYS; i++) {
        sink_put(&k, i);
        sync_once(fd, i, false);
    }
    for (size_t i = 0; i < n; i++) {
        double begin = now_us();
        sink_put(&k, i);
        davit[i] = now_us() - begin;
        in_place[i] = sync_once(fd, i, false);
        append[i] = sync_once(log, i, true);
    }
    report("put", davit, n);
    report("fdatasync", in_place, n);
    report("fdatasync_append", append, n);
    sink_close(&k);
}

/* -- event -- */

static size_t answer(char *data, size_t size, size_t n, void *ctx)
{
    (void)ctx;
    bool event = memmem(data, size * n, "\"events\"", 8) != NULL;
    bool created = memmem(data, size * n, "\"created\"", 9) != NULL;
    if (event || created)
        dprintf(1, "%s\n", event ? "event" : "listening");
    return size * n;
}

static void watch_etcd(const char *url)
{
    CURL *c = etcd_request(url, "watch");
    /* "/bench/" up to "/bench0" */
    curl_easy_setopt(
        c, CURLOPT_POSTFIELDS,
        "{\"create_request\":{\"key\":\"L2JlbmNoLw==\",\"range_end\":\"L2JlbmNoMA==\"}}");
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, answer);
    curl_easy_perform(c);
}

static void watch_store(const char *url, size_t n)
{
    struct store *s;
    struct watch *w;
    struct kv kv;
    must(store_open(url, &s, &err), "open");
    must(store_watch(s, "/bench/", 0, &w, &err), "watch");
    dprintf(1, "listening\n");
    while (n) {
        int r = watch_next(w, &kv, &err);
        must(r, "watch");
        if (r > 0) {
            dprintf(1, "event\n");
            kv_release(&kv);
            n--;
        } else {
            poll(&(struct pollfd){watch_fd(w), POLLIN, 0}, 1, -1);
        }
    }
    watch_close(w);
    store_close(s);
}

static void await(int fd, const char *word)
{
    char line[16];
    ssize_t n = read(fd, line, sizeof(line));
    if (n <= 0 || strncmp(line, word, strlen(word)) != 0)
        must(err_set(&err, ERR_IO, "the watcher said no \"%s\"", word), "watch");
}

static void bench_event(const char *url, size_t n)
{
    _cleanup_free_ char *count = xasprintf("%zu", n + WARM_UP);
    _cleanup_free_ double *event = xcalloc(n, sizeof(double));
    _cleanup_free_ double *put = xcalloc(n, sizeof(double));
    const char *argv[] = {"/proc/self/exe", "watch", url, count, NULL};
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        must(err_errno(&err, "pipe"), "event");
    struct spawn spawn = {.argv = argv, .fds = {-1, fds[1], 2}, .die_with_parent = true};
    must(spawn_start(&spawn, &err), "watch");
    struct sink k = sink_open(url);
    await(fds[0], "listening");
    for (size_t i = 0; i < n + WARM_UP; i++) {
        double begin = now_us();
        sink_put(&k, i);
        double written = now_us();
        await(fds[0], "event");
        if (i >= WARM_UP) {
            event[i - WARM_UP] = now_us() - begin;
            put[i - WARM_UP] = written - begin;
        }
        nanosleep(&(struct timespec){0, PAUSE_US * 1000}, NULL); /* as rare as in life */
    }
    report("event", event, n);
    report("put", put, n);
    sink_close(&k);
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    size_t n = (size_t)atol(argv[3]);
    memset(value_text, 'x', VALUE_LEN);
    if (streq(argv[1], "commit"))
        bench_commit(argv[2], n);
    else if (streq(argv[1], "event"))
        bench_event(argv[2], n);
    else if (streq(argv[1], "watch") && strncmp(argv[2], "http", 4) == 0)
        watch_etcd(argv[2]);
    else if (streq(argv[1], "watch"))
        watch_store(argv[2], n);
    else
        return 2;
    return 0;
}
