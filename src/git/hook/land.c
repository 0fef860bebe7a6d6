#include "git/hook/land.h"

#include "git/hook/turn.h"
#include "os/spawn.h"

void packet_add(struct buf *b, const char *fmt, ...)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    buf_vaddf(&text, fmt, ap);
    va_end(ap);
    buf_addf(b, "%04zx%s", 4 + text.len, text.ptr);
}

static int move(const char *ref, const char *to, const char *from, struct err *err)
{
    const char *const argv[] = {"git", "update-ref", "--", ref, to, from, NULL};
    return spawn_run(argv, (struct str){0}, NULL, err);
}

void land(struct str command, struct buf *answer)
{
    struct err err;
    struct str ref = str_trim(command), old = str_cut(&ref, ' '), new = str_cut(&ref, ' ');
    _cleanup_free_ char *name = xstrndup(ref.ptr, ref.len), *to = xstrndup(new.ptr, new.len),
                        *seen = xstrndup(old.ptr, old.len), *now = turn_ref(name);
    bool there = now && streq(now, to);
    if (!now || turn_is_unmoved(now, seen) || (!there && !turn_contains(to, now))) {
        packet_add(answer, "ok %s\n", name);
        packet_add(answer, "option fall-through\n");
    } else if (!there && move(name, to, now, &err) < 0) {
        packet_add(answer, "ng %s %s\n", name, err.msg);
    } else {
        packet_add(answer, "ok %s\n", name);
        if (!there) /* the pusher's git says from where to where */
            packet_add(answer, "option old-oid %s\n", now);
    }
}
