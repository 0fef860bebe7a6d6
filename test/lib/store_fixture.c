#include "lib/store_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>

#include "os/file.h"
#include "os/spawn.h"

static char *unique_prefix(void)
{
    unsigned char id[8];
    char hex[2 * sizeof(id) + 1];
    random_bytes(id, sizeof(id));
    hex_encode(id, sizeof(id), hex);
    return xasprintf("/test-%s/", hex);
}

int fixture_setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    const char *given = getenv("DAVIT_TEST_STORE");
    f->prefix = unique_prefix();
    if (given) {
        f->url = xstrdup(given);
    } else {
        f->dir = xstrdup("/tmp/davit-store-XXXXXX");
        assert_non_null(mkdtemp(f->dir));
        f->url = xasprintf("sqlite://%s/state.db", f->dir);
    }
    assert_ok(f, store_open(f->url, &f->s, &f->err));
    *state = f;
    return 0;
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    store_close(f->s);
    if (f->dir)
        dir_remove(f->dir, NULL);
    free(f->dir);
    free(f->url);
    free(f->prefix);
    free(f);
    return 0;
}

const char *key(struct fixture *f, const char *name)
{
    static char *keys[16]; /* enough for one expression */
    static size_t next;
    char **slot = &keys[next++ % ARRAY_LEN(keys)];
    free(*slot);
    return *slot = xasprintf("%s%s", f->prefix, name);
}

int64_t put(struct fixture *f, const char *name, const char *text)
{
    _cleanup_(txn_release) struct txn t = {0};
    int64_t rev = 0;
    txn_put(&t, key(f, name), str_of(text), 0);
    assert_ok(f, store_txn(f->s, &t, &rev, &f->err));
    return rev;
}

int64_t del(struct fixture *f, const char *name)
{
    _cleanup_(txn_release) struct txn t = {0};
    int64_t rev = 0;
    txn_delete(&t, key(f, name));
    assert_ok(f, store_txn(f->s, &t, &rev, &f->err));
    return rev;
}

const char *value(struct fixture *f, const char *name)
{
    static struct kv kv;
    kv_release(&kv);
    int r = store_get(f->s, key(f, name), &kv, &f->err);
    if (r == -ERR_NOT_FOUND)
        return "";
    assert_ok(f, r);
    return kv.value;
}

bool readable(int fd, int timeout_ms)
{
    struct pollfd p = {fd, POLLIN, 0};
    int n;
    do
        n = poll(&p, 1, timeout_ms);
    while (n < 0 && errno == EINTR);
    return n > 0;
}

struct kv next_event(struct fixture *f, struct watch *w)
{
    struct kv kv = {0};
    int r;
    while ((r = watch_next(w, &kv, &f->err)) == 0)
        if (!readable(watch_fd(w), PATIENCE_MS))
            fail_msg("no event came");
    assert_ok(f, r);
    return kv;
}

void expect_event(struct fixture *f, struct watch *w, int64_t rev, const char *name,
                  const char *text)
{
    _cleanup_(kv_release) struct kv kv = next_event(f, w);
    assert_string_equal(kv.key, key(f, name));
    assert_int_equal(kv.mod_rev, rev);
    if (text)
        assert_string_equal(kv.value, text);
    else
        assert_null(kv.value);
}

/* Events come in order: none stands before that of a change made now. */
void expect_no_event(struct fixture *f, struct watch *w)
{
    struct kv kv = {0};
    int r = watch_next(w, &kv, &f->err);
    if (r > 0)
        fail_msg("an event that should not be: %s at %" PRId64, kv.key, kv.mod_rev);
    assert_ok(f, r);
}

struct peer peer_start(struct fixture *f, const char *verb, ...)
{
    const char *argv[9] = {getenv("DAVIT_STORE_PEER"), verb, f->url};
    int fds[2];
    assert_non_null(argv[0]);
    va_list ap;
    va_start(ap, verb);
    for (size_t i = 3; i < 8 && (argv[i] = va_arg(ap, const char *)); i++)
        ;
    va_end(ap);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    /* Who is killed may have printed much that nobody read yet. */
    fcntl(fds[1], F_SETPIPE_SZ, 1 << 20);
    struct spawn spawn = {.argv = argv, .fds = {-1, fds[1], 2}, .die_with_parent = true};
    struct peer p = {.pid = spawn_start(&spawn, &f->err), .out = fds[0], .text = BUF_INIT};
    assert_ok(f, p.pid);
    close(fds[1]);
    return p;
}

const char *peer_line(struct peer *p)
{
    static char *line;
    char chunk[4096];
    for (;;) {
        char *end = p->text.len ? memchr(p->text.ptr, '\n', p->text.len) : NULL;
        if (end) {
            free(line);
            line = xstrndup(p->text.ptr, (size_t)(end - p->text.ptr));
            buf_consume(&p->text, strlen(line) + 1);
            return line;
        }
        if (!readable(p->out, PATIENCE_MS))
            fail_msg("the other process is silent");
        ssize_t n = read(p->out, chunk, sizeof(chunk));
        if (n <= 0)
            return NULL;
        buf_add(&p->text, chunk, (size_t)n);
    }
}

int peer_wait(struct peer *p)
{
    int status = spawn_wait(p->pid);
    p->pid = 0;
    return status;
}

int peer_kill(struct peer *p)
{
    kill(p->pid, SIGKILL);
    return peer_wait(p);
}

void peer_release(struct peer *p)
{
    if (p->pid > 0)
        peer_kill(p);
    close(p->out);
    buf_release(&p->text);
}
