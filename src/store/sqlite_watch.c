/* Watching. All watches of a handle share one inotify descriptor (a user has few of them) and one
 * timer for leases. Whichever watch hears the bell first passes it on to its siblings through their
 * eventfds. A watch's own descriptor is an epoll of the three.
 *
 * Changes are copied in batches of bounded size: no read transaction outlives a call, so a slow
 * watcher never holds back the copying of the write-ahead log. */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/time.h"
#include "store/sqlite.h"

enum {
    BATCH_EVENTS = 128,
    BATCH_BYTES = 256 << 10,
    EXPIRE_RETRY_MS = 1000, /* when expiring a lease failed, say on a full disk */
};

struct sqlite_watch {
    struct watch watch;
    struct sqlite_watch *next;
    struct strv prefixes;
    int64_t seen; /* id of the last change looked at */
    int poke;     /* eventfd; readable while there may be unread changes */
    bool behind;
    struct kv batch[BATCH_EVENTS];
    size_t n, taken;
};

static struct sqlite_store *store_of(const struct sqlite_watch *w)
{
    return (struct sqlite_store *)w->watch.store;
}

static void set_behind(struct sqlite_watch *w, bool behind)
{
    if (w->behind == behind)
        return;
    w->behind = behind;
    eventfd_t count = 1;
    if (behind)
        eventfd_write(w->poke, count);
    else
        eventfd_read(w->poke, &count);
}

static void set_alarm(struct sqlite_store *s, int64_t at_ms)
{
    if (s->alarm_at == at_ms)
        return;
    struct itimerspec spec = {
        .it_value = {.tv_sec = at_ms / 1000, .tv_nsec = at_ms % 1000 * 1000000}};
    timerfd_settime(s->alarm, TFD_TIMER_ABSTIME, &spec, NULL);
    s->alarm_at = at_ms;
}

/* After the bell: leases may have come, gone or been kept alive. */
static int reset_alarm(struct sqlite_store *s, struct err *err)
{
    int64_t deadline;
    int r = sql_integer(s, SQL_LEASE_NEXT, &deadline, err);
    if (r == 0)
        set_alarm(s, deadline ? MAX(deadline, s->alarm_not_before) : 0);
    return r;
}

static int on_alarm(struct sqlite_store *s, struct err *err)
{
    uint64_t ticks;
    if (read(s->alarm, &ticks, sizeof(ticks)) < 0)
        return 0;
    s->alarm_at = 0;
    if (sqlite_lease_settle(s))
        s->alarm_not_before = time_mono_ms() + EXPIRE_RETRY_MS;
    return reset_alarm(s, err);
}

static int hear(struct sqlite_store *s, struct err *err)
{
    int r = on_alarm(s, err);
    if (r < 0 || !bell_heard(&s->bell))
        return r;
    for (struct sqlite_watch *w = s->watches; w; w = w->next)
        set_behind(w, true);
    return reset_alarm(s, err);
}

static int compacted(const struct sqlite_watch *w, struct err *err)
{
    return err_set(
        err, ERR_COMPACTED, "the changes under %s after revision %lld are no longer kept",
        w->prefixes.n ? w->prefixes.items[0] : "nothing", (long long)id_revision(w->seen));
}

static bool is_watched(const struct sqlite_watch *w, const char *key)
{
    for (size_t i = 0; i < w->prefixes.n; i++)
        if (str_starts(str_of(key), str_of(w->prefixes.items[i])))
            return true;
    return false;
}

/* Looks at the row that CHANGES stands on; adds the bytes it keeps to *bytes. */
static void take_row(struct sqlite_watch *w, size_t *bytes)
{
    struct sqlite_store *s = store_of(w);
    w->seen = sqlite3_column_int64(s->sql[SQL_CHANGES], 0);
    if (!is_watched(w, sql_text(s, SQL_CHANGES, 1)))
        return;
    struct kv *kv = &w->batch[w->n++];
    sql_row_kv(s, SQL_CHANGES, kv);
    *bytes += kv->value_len;
}

/* Reads the changes after w->seen, until the batch is full or there are no more. */
static int read_batch(struct sqlite_watch *w, struct err *err)
{
    struct sqlite_store *s = store_of(w);
    size_t bytes = 0;
    int r;
    w->n = w->taken = 0;
    bind_int(s, SQL_CHANGES, 1, w->seen);
    r = sql_step(s, SQL_CHANGES, err);
    if (r > 0 && w->seen < id_last(sqlite3_column_int64(s->sql[SQL_CHANGES], 5))) {
        sql_end(s, SQL_CHANGES);
        return compacted(w, err);
    }
    while (r > 0 && w->n < BATCH_EVENTS && bytes < BATCH_BYTES) {
        take_row(w, &bytes);
        r = sql_step(s, SQL_CHANGES, err);
    }
    if (r > 0) {
        sql_end(s, SQL_CHANGES);
        return 0;
    }
    if (r == 0) { /* the newest revision has been seen to its end */
        w->seen = id_last(id_revision(w->seen));
        set_behind(w, false);
    }
    return r;
}

int sqlite_watch_next(struct watch *watch, struct kv *ret, struct err *err)
{
    struct sqlite_watch *w = (struct sqlite_watch *)watch;
    if (w->taken == w->n) {
        int r = hear(store_of(w), err);
        if (r == 0 && w->behind)
            r = read_batch(w, err);
        if (r < 0)
            return r;
    }
    if (w->taken == w->n)
        return 0;
    *ret = w->batch[w->taken++];
    return 1;
}

int64_t sqlite_watch_revision(const struct watch *watch)
{
    const struct sqlite_watch *w = (const struct sqlite_watch *)watch;
    bool within = w->behind || w->taken < w->n; /* perhaps in the midst of a transaction */
    return id_revision(w->seen) - within;
}

static int add_to(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static int open_fds(struct sqlite_watch *w, struct err *err)
{
    struct sqlite_store *s = store_of(w);
    int r = bell_listen(&s->bell, err);
    if (r < 0)
        return r;
    if (s->alarm < 0)
        s->alarm = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    w->poke = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    w->watch.fd = epoll_create1(EPOLL_CLOEXEC);
    if (s->alarm < 0 || w->poke < 0 || w->watch.fd < 0 || add_to(w->watch.fd, s->bell.ear) < 0 ||
        add_to(w->watch.fd, s->alarm) < 0 || add_to(w->watch.fd, w->poke) < 0)
        return err_errno(err, "opening a watch");
    return 0;
}

int sqlite_watch(struct store *store, const char *const *prefixes, int64_t from, struct watch **ret,
                 struct err *err)
{
    struct sqlite_store *s = (struct sqlite_store *)store;
    struct sqlite_watch *w = xcalloc(1, sizeof(*w));
    *w = (struct sqlite_watch){.watch = {.store = store, .fd = -1}, .next = s->watches, .poke = -1};
    for (size_t i = 0; prefixes[i]; i++)
        strv_add(&w->prefixes, prefixes[i]);
    s->watches = w;
    int64_t newest;
    int r = open_fds(w, err);
    if (r == 0)
        r = sql_integer(s, SQL_NEWEST, &newest, err);
    if (r == 0)
        r = reset_alarm(s, err);
    if (r < 0) {
        sqlite_watch_close(&w->watch);
        return r;
    }
    w->seen = from ? id_last(MIN(from - 1, INT64_MAX >> SUB_BITS)) : id_last(id_revision(newest));
    set_behind(w, true);
    *ret = &w->watch;
    return 0;
}

void sqlite_watch_close(struct watch *watch)
{
    struct sqlite_watch *w = (struct sqlite_watch *)watch;
    struct sqlite_watch **link = &store_of(w)->watches;
    while (*link != w)
        link = &(*link)->next;
    *link = w->next;
    while (w->taken < w->n)
        kv_release(&w->batch[w->taken++]);
    closep(&w->watch.fd);
    closep(&w->poke);
    strv_release(&w->prefixes);
    free(w);
}
