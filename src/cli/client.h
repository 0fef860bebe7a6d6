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
 * caller's; null for an empty one. */
int api_call(struct cli *cli, const char *method, const char *path, json_t *body, json_t **ret,
             struct err *err);
/* The same for a list: *ret is its "items". */
int api_items(struct cli *cli, const char *path, json_t **ret, struct err *err);
/* A stream of text, copied to stdout as it comes. body_fd: what to send, 0: nothing. *ret_result
 * (may be NULL) is the trailer Davit-Result, "" if there is none; the caller's. */
int api_stream(struct cli *cli, const char *method, const char *path, int body_fd,
               char **ret_result, struct err *err);

#endif
