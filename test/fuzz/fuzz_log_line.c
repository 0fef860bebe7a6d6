#include "log/line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct log_line line;
    struct str text = {(const char *)data, size};
    if (log_line_parse(text, &line) &&
        (line.when.len != TIME_TEXT_LEN || line.message.ptr + line.message.len != text.ptr + size))
        abort();
    return 0;
}
