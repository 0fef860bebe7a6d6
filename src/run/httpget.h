/* One GET for a health check, on the loop: HTTP/1.1, no redirects followed, Connection: close. Over
 * TLS if the check's scheme is https. */
#ifndef RUN_HTTPGET_H
#define RUN_HTTPGET_H

#include <uv.h>

#include "model/nouns.h"

enum { HTTPGET_BODY_MAX = 1 << 20 }; /* of the answer, headers included; the rest isn't looked at */

struct httpget;

/* Asks address:port with the check's scheme, path, headers, timeout and content. `done` is called
 * once: why is NULL if it passed, else a predicate: "answered GET /health with 503". Not called
 * after httpget_cancel. */
bool httpget_knows(const char *scheme); /* "http", "https", or nothing for the former */
struct httpget *httpget_start(uv_loop_t *loop, const char *address, uint16_t port,
                              const struct check *check, void (*done)(void *ctx, const char *why),
                              void *ctx);
void httpget_cancel(struct httpget *g);

#endif
