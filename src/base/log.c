#include "base/log.h"

#include <unistd.h>

#include "base/str.h"
#include "base/time.h"

static const char *log_name = "davit";
static enum log_level log_min = LOG_LEVEL_INFO;

void log_init(const char *name, enum log_level min)
{
    log_name = name;
    log_min = min;
}

void log_at(enum log_level level, const char *fmt, ...)
{
    static const char *const words[] = {"debug: ", "", "warning: ", "error: "};
    if (level < log_min)
        return;
    char when[TIME_TEXT_LEN + 1];
    time_log_text(time_wall_us(), when);
    _cleanup_(buf_release) struct buf line = BUF_CAP(8192);
    buf_addf(&line, "%s %s[%d]: %s", when, log_name, (int)getpid(), words[level]);
    va_list ap;
    va_start(ap, fmt);
    buf_vaddf(&line, fmt, ap);
    va_end(ap);
    for (size_t i = 0; i < line.len; i++)
        if (line.ptr[i] == '\n')
            line.ptr[i] = ' ';
    buf_addc(&line, '\n');
    if (write(STDERR_FILENO, line.ptr, line.len) < 0)
        return; /* nowhere left to say so */
}
