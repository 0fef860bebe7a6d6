/* A real api in a root of its own, in a child process; a store handle to play the other operators;
 * HTTP by hand. */
#ifndef TEST_API_FIXTURE_H
#define TEST_API_FIXTURE_H

#include "cm.h"

#include "git/hook/answer.h"
#include "model/config.h"
#include "model/nouns.h"
#include "store/store.h"

struct world {
    struct config config;
    struct store *store;
    pid_t api;
};

/* In hex, of the image that deployed apps have. */
#define AAAA "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

extern struct world world;

int world_begin(void **state); /* for cmocka's setup and teardown of a group */
int world_end(void **state);
void api_start(void);
void api_stop(int number);

/* One connection to one of the sockets; answers are read to their ends. */
enum { LOCAL, GATEWAY };
struct reply {
    int status;
    char result[32];
    struct buf body;
};
int dial(int door);
void send_text(int fd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The rest of the answer on fd, or up to and with the line that contains `until` (NULL: all). */
void read_answer(int fd, struct answer *a, struct buf *body, const char *until);
/* A whole exchange. headers: "A: b\r\n…" or "". body NULL: none. The reply's body is valid until
 * the next call. */
const struct reply *http(int door, const char *method, const char *path, const char *headers,
                         const char *body);
#define local(method, path, body) http(LOCAL, method, path, "", body)
/* The value of a JSON string field, wherever it is; valid until the next call. */
const char *field(const struct reply *r, const char *name);

/* Waits until the store has it (or no longer: schema NULL), at most 10 s. */
void put(const char *key, const struct schema *s, const void *value);
bool get(const char *key, const struct schema *s, void *ret);
#define wait_until(condition)                                                                      \
    do {                                                                                           \
        int64_t deadline = time_mono_ms() + 10000;                                                 \
        while (!(condition)) {                                                                     \
            if (time_mono_ms() > deadline)                                                         \
                fail_msg("not within 10 s: %s", #condition);                                       \
            usleep(2000); /* conditions of any kind: nothing to wait on */                         \
        }                                                                                          \
    } while (0)

/* An app with release v1 of a web and a worker process, live, whose image is there. */
void make_deployed_app(const char *name);
/* Has it destroyed, as the other operators would, and reads the answer to its end. */
void destroy_app(const char *name);
char *make_token(const char *user, int role, const char *expires); /* the caller's */

#endif
