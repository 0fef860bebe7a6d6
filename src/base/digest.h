/* sha256: in hex, and as OCI writes it, "sha256:" and 64 lower-case hex digits (image-spec 1.1,
 * descriptor.md). */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include <nettle/sha2.h>
#include <stdbool.h>

#include "base/str.h"

enum { DIGEST_HEX_LEN = 64, DIGEST_LEN = 7 + DIGEST_HEX_LEN };

void sha256_hex(struct str data, char ret[DIGEST_HEX_LEN + 1]);
/* The sum of what was added to `c`, which starts anew after it. */
void sha256_finish_hex(struct sha256_ctx *c, char ret[DIGEST_HEX_LEN + 1]);

void digest_finish(struct sha256_ctx *c, char ret[DIGEST_LEN + 1]);
void digest_of(struct str data, char ret[DIGEST_LEN + 1]);
bool digest_valid(const char *text);
/* What stands behind "sha256:"; `digest` must be valid. */
const char *digest_hex(const char *digest);
/* Where an OCI layout has the blob, below its folder (image-layout.md): the caller's. `digest` must
 * be valid. */
char *digest_blob(const char *digest);
/* ERR_INVALID for what is not a digest; `what` says whose. */
int digest_check(const char *text, const char *what, struct err *err);

#endif
