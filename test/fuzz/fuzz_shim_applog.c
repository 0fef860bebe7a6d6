#include <fcntl.h>

#include "shim/applog.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The app's output, in pieces whose lengths come from the input itself. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct applog l;
    int p[2];
    if (pipe2(p, O_CLOEXEC | O_NONBLOCK) < 0)
        return 0;
    memset(&l, 0, sizeof(l));
    applog_init(&l, "/dev/null", "web.1", 1 << 20, 3, NULL);
    while (size) {
        size_t n = MIN(size, (size_t)data[0] * 256 + 1);
        if (write(p[1], data, n) != (ssize_t)n)
            break;
        data += n, size -= n;
        while (applog_read(&l, p[0]))
            ;
        if (l.pending > APPLOG_LINE_MAX || l.filled || l.dropped)
            abort();
    }
    applog_finish(&l);
    if (l.pending)
        abort();
    applog_release(&l);
    close(p[0]);
    close(p[1]);
    return 0;
}
