#include "run/resolv.h"

#include "os/file.h"

enum { RESOLV_MAX = 65536 };

/* The first that says anything counts: systemd's stub in /etc is on loopback. */
static const char *const paths[] = {"/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"};

void resolv_pick(struct str text, struct buf *ret)
{
    while (text.ptr) {
        struct str line = str_cut(&text, '\n');
        if (line.len && !str_starts(line, STR("nameserver 127.")) &&
            !str_starts(line, STR("nameserver ::1")))
            buf_addf(ret, "%.*s\n", (int)line.len, line.ptr);
    }
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

int resolv_refresh(struct resolv *r, struct err *err)
{
    struct stat now[ARRAY_LEN(paths)] = {0};
    bool news = false;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        if (stat(paths[i], &now[i]) < 0)
            now[i] = (struct stat){.st_size = -1}; /* none is news only once, too */
        news = news || !same_file(&now[i], &r->seen[i]);
    }
    if (!news)
        return 0;
    _cleanup_(buf_release) struct buf text = BUF_CAP(RESOLV_MAX), lines = BUF_CAP(RESOLV_MAX);
    for (size_t i = 0; i < ARRAY_LEN(paths) && !text.len; i++)
        file_read(paths[i], &text, NULL);
    resolv_pick(buf_str(&text), &lines);
    int e = file_replace(r->file, buf_str(&lines), 0644, err);
    if (!e && chown(r->file, r->owner, r->owner) < 0)
        e = err_errno(err, "%s", r->file);
    if (!e)
        memcpy(r->seen, now, sizeof(now));
    return e;
}
