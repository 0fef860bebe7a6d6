#include "model/procfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err;
    struct app_json a;
    if (app_json_parse((struct str){(const char *)data, size}, &a, &err) == 0)
        app_json_release(&a);
    return 0;
}
