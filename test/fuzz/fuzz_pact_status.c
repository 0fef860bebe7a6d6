#include "pact/status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever it was: written again, it says the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(pact_status_release) struct status s, again;
    _cleanup_(buf_release) struct buf one = BUF_INIT, two = BUF_INIT;
    pact_status_parse((struct str){(const char *)data, size}, &s);
    pact_status_format(&s, &one);
    pact_status_parse(buf_str(&one), &again);
    pact_status_format(&again, &two);
    if (s.exit < -1 || s.exit > 255 || !str_eq(buf_str(&one), buf_str(&two)))
        abort();
    return 0;
}
