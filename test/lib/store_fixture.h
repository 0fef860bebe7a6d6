/* What the tests of the store share. They run on the store that DAVIT_TEST_STORE names (any
 * backend, keys of others in it do no harm), else on a fresh SQLite one. */
#ifndef LIB_STORE_FIXTURE_H
#define LIB_STORE_FIXTURE_H

/* cmocka wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/store.h"

enum { PATIENCE_MS = 20000 }; /* for what happens at once, on a busy machine */

struct fixture {
    char *dir; /* of the fresh store, NULL for a given one */
    char *url;
    char *prefix; /* "/test-…/", this test's own */
    struct store *s;
    struct err err;
};

int fixture_setup(void **state);
int fixture_teardown(void **state);
#define FIXTURE_TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

#define assert_ok(f, call)                                                                         \
    do {                                                                                           \
        int r_ = (call);                                                                           \
        if (r_ < 0)                                                                                \
            fail_msg("%s: %s: %s", #call, err_code_name((f)->err.code), (f)->err.msg);             \
    } while (0)
#define assert_err(f, call, code_)                                                                 \
    do {                                                                                           \
        assert_int_equal((call), -(int)ERR_##code_);                                               \
        assert_int_equal((f)->err.code, ERR_##code_);                                              \
        assert_string_not_equal((f)->err.msg, "");                                                 \
    } while (0)

/* prefix + name, owned by the fixture's caller for the test's life (leaks are freed at exit). */
const char *key(struct fixture *f, const char *name);
/* One put; its revision. */
int64_t put(struct fixture *f, const char *name, const char *value);
int64_t del(struct fixture *f, const char *name);
/* The value of a key, "" if absent; valid until the next call. */
const char *value(struct fixture *f, const char *name);

/* Waits for the next event; fails the test when none comes. */
struct kv next_event(struct fixture *f, struct watch *w);
/* The next event is this one; `value` NULL: deleted. */
void expect_event(struct fixture *f, struct watch *w, int64_t rev, const char *name,
                  const char *value);
void expect_no_event(struct fixture *f, struct watch *w);
/* Waits for what poll reports within PATIENCE_MS. */
bool readable(int fd, int timeout_ms);

/* Another process (store_peer.c) with its stdout. */
struct peer {
    pid_t pid;
    int out;
    struct buf text; /* read so far */
};
/* `verb`, then up to four more arguments, NULL-terminated; the url is put in. */
struct peer peer_start(struct fixture *f, const char *verb, ...);
/* The next line without its newline, NULL at the end; valid until the next call. */
const char *peer_line(struct peer *p);
/* Kills it with SIGKILL, or waits for its end; returns its status. Its output can be read after. */
int peer_kill(struct peer *p);
int peer_wait(struct peer *p);
void peer_release(struct peer *p);

#endif
