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

static int keep_only(unsigned capability)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};
    data[CAP_TO_INDEX(capability)].effective = data[CAP_TO_INDEX(capability)].permitted =
        data[CAP_TO_INDEX(capability)].inheritable = CAP_TO_MASK(capability);
    if (syscall(SYS_capset, &header, data) < 0)
        return -1;
    return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0);
}

int account_become(const struct config *c, struct err *err)
{
    if (geteuid() != 0)
        return 0;
    struct account a;
    int r = account_find(c, &a, err);
    if (r < 0)
        return r;
    if (initgroups(c->user, a.gid) < 0 || setresgid(a.gid, a.gid, a.gid) < 0 ||
        prctl(PR_SET_KEEPCAPS, 1) < 0 || setresuid(a.uid, a.uid, a.uid) < 0 ||
        keep_only(CAP_NET_BIND_SERVICE) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return err_errno(err, "becoming user %s", c->user);
    return 0;
}
