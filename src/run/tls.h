/* The client's side of a TLS connection whose bytes somebody else carries, so that it runs on any
 * loop. For health checks: the server is not asked to prove who it is (as with kubelet's; the
 * connection goes straight to the instance, whose certificate names the outside). */
#ifndef RUN_TLS_H
#define RUN_TLS_H

#include "base/str.h"

struct tls;

/* name: whom to ask for (SNI); NULL: nobody in particular. `request` is sent once the handshake is
 * done. */
struct tls *tls_new(const char *name, struct str request, struct err *err);
void tls_free(struct tls *t);

/* Takes what came from the server (nothing at first); appends what is to be sent to *out and what
 * the server said to *answer. 1: it has ended, 0: more may come. */
int tls_step(struct tls *t, struct str came, struct buf *out, struct buf *answer, struct err *err);

#endif
