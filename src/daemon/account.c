#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/daemon.h"

int account_find(const struct config *c, struct account *ret, struct err *err)
{
    errno = 0;
    const struct passwd *p = getpwnam(c->user);
    if (!p) {
        err_set(err, ERR_NOT_FOUND, "there is no user '%s' on this machine", c->user);
        return err_hint(err,
                        "make it: useradd --system --user-group --home-dir /var/lib/davit "
                        "--shell /usr/sbin/nologin %s (make up and make install do)",
                        c->user);
    }
    *ret = (struct account){p->pw_uid, p->pw_gid};
    return 0;
}

static int keep_only(uint64_t capabilities)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    for (size_t i = 0; i < ARRAY_LEN(data); i++) {
        uint32_t half = (uint32_t)(capabilities >> 32 * i);
        data[i] = (struct __user_cap_data_struct){half, half, half};
    }
    if (syscall(SYS_capset, &header, data) < 0)
        return -1;
    for (unsigned cap = 0; cap <= CAP_LAST_CAP; cap++)
        if (capabilities >> cap & 1 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
            return -1;
    return 0;
}

int account_become(const struct config *c, uint64_t capabilities, struct err *err)
{
    if (geteuid() != 0)
        return 0;
    struct account a;
    int r = account_find(c, &a, err);
    if (r < 0)
        return r;
    if (initgroups(c->user, a.gid) < 0 || setresgid(a.gid, a.gid, a.gid) < 0 ||
        prctl(PR_SET_KEEPCAPS, 1) < 0 || setresuid(a.uid, a.uid, a.uid) < 0 ||
        keep_only(capabilities) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return err_errno(err, "becoming user %s", c->user);
    return 0;
}
