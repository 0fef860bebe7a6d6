/* A raw log line from HAProxy, whose path, host and id come from whoever sends requests. */
#include "gateway/logline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str raw = {(const char *)data, n}, app;
    _cleanup_(buf_release) struct buf b = BUF_CAP(1 << 20);
    /* HAProxy ends a line with a newline and writes none inside. */
    if (memchr(data, '\n', n) || !log_format_line(raw, "NOW ", &app, &b))
        return 0;
    if (!app.len || memchr(b.ptr, '\n', b.len) != b.ptr + b.len - 1)
        abort();
    return 0;
}
