#include "shim/memory.h"

#include "os/cgroup.h"

enum { AGAIN_MS = 2000, QUIET_MS = 60000 };

/* So much of the limit counts as all of it. */
static uint64_t mark(const struct memory *m) { return m->limit / 16 * 15; }

void memory_watch(struct memory *m, const char *cgroup, uint64_t limit)
{
    *m = (struct memory){.cgroup = cgroup, .limit = limit, .fd = -1};
    if (limit)
        cgroup_watch_memory(cgroup, mark(m), &m->fd, NULL); /* else the limit comes unannounced */
}

void memory_unwatch(struct memory *m)
{
    closep(&m->fd);
    *m = (struct memory){.fd = -1};
}

int memory_fd(const struct memory *m) { return m->look_ms ? -1 : m->fd; }

void memory_look(struct memory *m, struct applog *log, int64_t now_ms)
{
    char events[1024];
    struct cgroup_memory is = cgroup_memory(m->cgroup);
    uint64_t kills = cgroup_oom_kills(m->cgroup);
    if (lseek(m->fd, 0, SEEK_SET) < 0 || read(m->fd, events, sizeof(events)) < 0)
        events[0] = '\0'; /* read only for the next event to be one */
    if (kills > m->kills)
        applog_say(log,
                   "Error R15 (Memory quota vastly exceeded): the kernel killed a process at the "
                   "limit of %llu MiB",
                   (unsigned long long)m->limit >> 20);
    m->kills = kills;
    if (is.needed >= mark(m) && now_ms >= m->quiet_ms) {
        m->quiet_ms = now_ms + QUIET_MS;
        applog_say(log, "Error R14 (Memory quota exceeded): %llu of %llu MiB in use",
                   (unsigned long long)is.needed >> 20, (unsigned long long)m->limit >> 20);
    }
    m->look_ms = is.used >= mark(m) ? now_ms + AGAIN_MS : 0;
}
