#include "shim/status.h"

#include "os/file.h"

void status_format(const struct status *s, struct buf *ret)
{
    buf_addf(ret, "state %s\nsince %lld\nrestarts %u\n", s->state, (long long)s->since,
             s->restarts);
    if (s->pid)
        buf_addf(ret, "pid %d\n", s->pid);
    if (s->started)
        buf_addf(ret, "started %lld\n", (long long)s->started);
    if (s->exit >= 0)
        buf_addf(ret, "exit %d\n", s->exit);
    if (s->reason[0])
        buf_addf(ret, "reason %s\n", s->reason);
    if (s->next)
        buf_addf(ret, "next %lld\n", (long long)s->next);
}

int status_write(const struct status *s, const char *path, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_CAP(4096);
    status_format(s, &text);
    return file_replace(path, buf_str(&text), 0644, err);
}
