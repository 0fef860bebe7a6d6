#include "cli/userns.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/file.h"

/* -1 if the kernel has no such setting. */
static long number_in(const char *file)
{
    _cleanup_(buf_release) struct buf n = BUF_CAP(64);
    return file_read(file, &n, NULL) == 0 && n.ptr ? atol(n.ptr) : -1;
}

/* 0, or the errno of making one. */
static int try(void)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0)
        _exit(unshare(CLONE_NEWUSER) < 0 ? errno : 0);
    if (child < 0 || TEMP_FAILURE_RETRY(waitpid(child, &status, 0)) < 0)
        return errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EPERM;
}

/* Whether a file system is mounted where our root is. */
static bool root_is_mounted(void)
{
    _cleanup_(buf_release) struct buf text = BUF_CAP(16 << 20);
    if (file_read("/proc/self/mountinfo", &text, NULL) < 0)
        return true;
    struct str rest = buf_str(&text);
    while (rest.len) {
        struct str line = str_cut(&rest, '\n');
        for (int i = 0; i < 4; i++)
            str_cut(&line, ' ');
        if (str_eq(str_cut(&line, ' '), str_of("/")))
            return true;
    }
    return false;
}

/* The kernel refuses them to whoever's root isn't that of its mount namespace. */
static bool in_chroot(void)
{
    struct stat ours, first;
    if (stat("/", &ours) == 0 && stat("/proc/1/root/", &first) == 0 &&
        (ours.st_dev != first.st_dev || ours.st_ino != first.st_ino))
        return true;
    return !root_is_mounted();
}

static const char *what_forbids(void)
{
    if (in_chroot())
        return "this is a chroot, where the kernel allows none: enter it by pivot_root, as "
               "systemd-nspawn does";
    if (number_in("/proc/sys/kernel/unprivileged_userns_clone") == 0)
        return "sysctl kernel.unprivileged_userns_clone=1";
    if (number_in("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == 1)
        return "sysctl kernel.apparmor_restrict_unprivileged_userns=0";
    return "in a container: it needs CAP_SYS_ADMIN, and a seccomp profile that lets unshare and "
           "clone pass";
}

int userns_check(struct err *err)
{
    long most = number_in("/proc/sys/user/max_user_namespaces");
    int e = most < 0 ? EINVAL : most == 0 ? ENOSPC : geteuid() == 0 ? try() : 0;
    switch (e) {
    case 0: return 0;
    case EINVAL:
        err_set(err, ERR_UNAVAILABLE, "the kernel has none");
        return err_hint(err, "a kernel with CONFIG_USER_NS");
    case ENOSPC:
        err_set(err, ERR_UNAVAILABLE, "the kernel allows no more than %ld", most);
        return err_hint(err, "sysctl user.max_user_namespaces=65536");
    default:
        err_set(err, ERR_UNAVAILABLE, "not allowed: %s", strerror(e));
        return err_hint(err, "%s", what_forbids());
    }
}
