#include "model/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err;
    struct config c;
    if (config_parse("/r", (struct str){(const char *)data, size}, &c, &err) == 0)
        config_release(&c);
    return 0;
}
