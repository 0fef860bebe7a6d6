/* The API as a verb sees it: which Davit to talk to, and calls that give JSON or an error with its
 * hint. */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include "cli/cli.h"
#include "wire/http.h"

struct client {
    char *url;    /* "https://api.example.com", without a trailing slash */
    char *socket; /* or NULL */
    char *token;  /* or NULL */
};

void client_free(struct client *c);

/* --url, $DAVIT_URL, --root, $DAVIT_ROOT, the Davit of `davit login`, this machine's socket, the
 * Davit that the checkout's remote names: the first of these there is. */
int client_get(struct cli *cli, struct client **ret, struct err *err);
/* The socket of --root, $DAVIT_ROOT or the machine. The caller's. */
char *client_socket(const struct cli *cli);

/* A path of components, each encoded: api_path("/v1/apps/%/ps", app). The caller's. */
char *api_path(const char *pattern, ...);

/* One call. `body` (may be NULL) is not taken. *ret (may be NULL) is the answer's document, the
 * caller's; null for an empty one. A list comes whole, however many pages it has. */
int api_call(struct cli *cli, const char *method, const char *path, json_t *body, json_t **ret,
             struct err *err);
/* The same without a body or an answer that matters. */
static inline int api_do(struct cli *cli, const char *method, const char *path, struct err *err)
{
    return api_call(cli, method, path, NULL, NULL, err);
}

/* api_call for the app this is about (cli_app), whose name stands for the one % of the pattern;
 * cli->app names it then. */
int app_call(struct cli *cli, const char *method, const char *pattern, json_t *body, json_t **ret,
             struct err *err);

/* A stream of text, given to `sink` as it comes; NULL: copied to stdout, with its colours. body_fd:
 * what to send, 0: nothing. */
typedef int (*stream_sink)(void *ctx, const char *data, size_t n);
int api_stream(struct cli *cli, const char *method, const char *path, int body_fd, stream_sink sink,
               void *ctx, struct err *err);
/* A stream that says at its end how what it tells of went, by its trailer Davit-Result: anything
 * but success is an error "`what` failed". */
int api_follow(struct cli *cli, const char *method, const char *path, int body_fd, stream_sink sink,
               void *ctx, const char *what, struct err *err);

/* Waits until a release of the app serves, then says "done, v3" behind what was printed last. When
 * it fails, what it said comes on stderr. */
int release_await(struct cli *cli, int64_t release, struct err *err);
/* POST /v1/tokens; ttl_s 0: until it is revoked. */
int token_mint(struct cli *cli, const char *name, int64_t ttl_s, json_t **ret, struct err *err);

#endif
