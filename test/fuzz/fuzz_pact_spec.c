#include "pact/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err;
    struct spec s = {0};
    if (pact_spec_parse((struct str){(const char *)data, size}, &s, &err) == 0) {
        if (!s.name || !s.layers.n || s.log_files < 1 || s.signal < 1 || s.signal > 64 ||
            (s.bridge && !s.ip))
            abort(); /* what the shim relies on */
        _cleanup_(buf_release) struct buf text = BUF_INIT;
        if (pact_spec_format(&s, &text, &err) < 0)
            abort();
        pact_spec_release(&s);
    }
    return 0;
}
