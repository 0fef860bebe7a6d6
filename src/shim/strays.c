#include "shim/strays.h"

#include <dirent.h>
#include <poll.h>
#include <signal.h>

#include "base/str.h"
#include "base/time.h"
#include "os/file.h"

enum { PATIENCE_MS = 5000 };

static bool has_argument(const char *pid, struct str argument)
{
    char path[32];
    _cleanup_(buf_release) struct buf line = BUF_CAP(8192);
    snprintf(path, sizeof(path), "/proc/%.16s/cmdline", pid);
    file_read(path, &line, NULL); /* of a long one the beginning will do */
    for (struct str rest = buf_str(&line); rest.len;)
        if (str_eq(str_cut(&rest, '\0'), argument))
            return true;
    return false;
}

static size_t kill_once(struct str argument)
{
    size_t n = 0;
    DIR *proc = opendir("/proc");
    for (struct dirent *e; proc && (e = readdir(proc));) {
        uint64_t pid;
        if (str_to_u64(str_of(e->d_name), 1, INT32_MAX, &pid, NULL) < 0 ||
            !has_argument(e->d_name, argument))
            continue;
        kill((pid_t)pid, SIGKILL);
        n++;
    }
    if (proc)
        closedir(proc);
    return n;
}

int strays_kill(const char *argument, struct err *err)
{
    int64_t deadline = time_mono_ms() + PATIENCE_MS;
    while (kill_once(str_of(argument)) > 0) {
        if (time_mono_ms() >= deadline)
            return err_set(err, ERR_TIMEOUT, "what is left of crun can't be killed");
        poll(NULL, 0, 1);
    }
    return 0;
}
