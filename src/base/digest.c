#include "base/digest.h"

void sha256_finish_hex(struct sha256_ctx *c, char ret[DIGEST_HEX_LEN + 1])
{
    uint8_t sum[SHA256_DIGEST_SIZE];
    sha256_digest(c, sizeof(sum), sum);
    hex_encode(sum, sizeof(sum), ret);
}

void sha256_hex(struct str data, char ret[DIGEST_HEX_LEN + 1])
{
    struct sha256_ctx c;
    sha256_init(&c);
    sha256_update(&c, data.len, (const uint8_t *)data.ptr);
    sha256_finish_hex(&c, ret);
}

void digest_finish(struct sha256_ctx *c, char ret[DIGEST_LEN + 1])
{
    memcpy(ret, "sha256:", 7);
    sha256_finish_hex(c, ret + 7);
}

void digest_of(struct str data, char ret[DIGEST_LEN + 1])
{
    memcpy(ret, "sha256:", 7);
    sha256_hex(data, ret + 7);
}

bool digest_valid(const char *text)
{
    return text && strlen(text) == DIGEST_LEN && !strncmp(text, "sha256:", 7) &&
           strspn(text + 7, "0123456789abcdef") == DIGEST_HEX_LEN;
}

const char *digest_hex(const char *digest) { return digest + 7; }
char *digest_blob(const char *digest) { return xasprintf("blobs/sha256/%s", digest_hex(digest)); }

int digest_check(const char *text, const char *what, struct err *err)
{
    if (digest_valid(text))
        return 0;
    return err_set(err, ERR_INVALID, "%s: '%.100s' is not a sha256 digest", what, text ? text : "");
}
