/* What the command line takes apart itself: addresses, times, base64. */
#include "cli/base64.h"
#include "cli/checkout.h"
#include "cli/cli.h"
#include "wire/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool within(struct str part, const char *text, size_t size)
{
    return !part.len || (part.ptr >= text && part.ptr + part.len <= text + size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_free_ char *text = xstrndup((const char *)data, size);
    size_t n = strlen(text);
    struct err err;
    struct url u;
    if (url_split(text, &u, &err) == 0 &&
        !(u.host.len && within(u.host, text, n) && within(u.path, text, n)))
        abort();
    free(checkout_app(text));
    int64_t s;
    if (duration_parse(text, &s, &err) == 0 && s < 0)
        abort();
    _cleanup_(buf_release) struct buf decoded = BUF_INIT, component = BUF_INIT;
    if (base64_decode((struct str){(const char *)data, size}, &decoded) && decoded.len > size)
        abort();
    url_add_component(&component, (struct str){(const char *)data, size});
    if (component.len && component.len != strspn(component.ptr, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                                                "abcdefghijklmnopqrstuvwxyz"
                                                                "0123456789-._~%"))
        abort();
    return 0;
}
