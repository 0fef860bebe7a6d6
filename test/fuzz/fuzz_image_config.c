/* Image configurations: what is read is written, and then reads as the same. */
#include "image/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(image_release) struct image a = {0}, b = {0};
    if (config_decode((struct str){(const char *)data, size}, &a, NULL) < 0)
        return 0;
    _cleanup_free_ char *first = config_encode(&a);
    if (!first || config_decode(str_of(first), &b, NULL) < 0)
        abort();
    _cleanup_free_ char *second = config_encode(&b);
    if (!second || !streq(first, second))
        abort();
    return 0;
}
