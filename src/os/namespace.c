#include "os/namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include "os/file.h"

int namespace_mounts(struct err *err)
{
    if (unshare(CLONE_NEWNS) < 0)
        return err_errno(err, "making a mount namespace");
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return err_errno(err, "separating the mounts from the host's");
    return 0;
}

int namespace_network(struct err *err)
{
    if (unshare(CLONE_NEWNET) < 0)
        return err_errno(err, "making a network namespace");
    return 0;
}

int namespace_sysfs(const char *target, struct err *err)
{
    unsigned long flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
    if (mount("sysfs", target, "sysfs", flags, NULL) < 0)
        return err_errno(err, "mounting sysfs at %s", target);
    return 0;
}

/* The child that makes the namespace and waits in it. Who makes one owns it; the capabilities that
 * a host may demand for it are kept over the change of user. */
static _Noreturn void be_in_user_namespace(uid_t owner, pid_t parent, int report)
{
    int e = 0;
    if (prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP) < 0 ||
        setresuid((uid_t)-1, owner, (uid_t)-1) < 0 || unshare(CLONE_NEWUSER) < 0 ||
        prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        e = errno;
    if (getppid() != parent || write(report, &e, sizeof(e)) < 0)
        _exit(1);
    for (;;)
        pause();
}

static int map_ids(pid_t pid, const char *which, uid_t base, struct err *err)
{
    char path[40], map[40];
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, which);
    snprintf(map, sizeof(map), "0 %u 65536", base);
    return file_set(path, map, err);
}

static int mount_user(pid_t pid, uid_t base, const char *path, struct err *err)
{
    char from[40];
    snprintf(from, sizeof(from), "/proc/%d/ns/user", (int)pid);
    int r = map_ids(pid, "uid_map", base, err);
    if (!r)
        r = map_ids(pid, "gid_map", base, err);
    if (!r && mount(from, path, NULL, MS_BIND, NULL) < 0)
        r = err_errno(err, "mounting a user namespace at %s", path);
    return r;
}

int namespace_user(uid_t owner, uid_t base, const char *path, struct err *err)
{
    int pipefd[2], e = 0;
    if (pipe2(pipefd, O_CLOEXEC) < 0)
        return err_errno(err, "making a pipe");
    _cleanup_close_ int in = pipefd[0], out = pipefd[1];
    pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        be_in_user_namespace(owner, parent, out);
    if (pid < 0)
        return err_errno(err, "making a user namespace");
    closep(&out);
    out = -1;
    if (TEMP_FAILURE_RETRY(read(in, &e, sizeof(e))) != (ssize_t)sizeof(e))
        e = EIO;
    errno = e;
    int r = e ? err_errno(err, "making a user namespace") : mount_user(pid, base, path, err);
    kill(pid, SIGKILL);
    TEMP_FAILURE_RETRY(waitpid(pid, NULL, 0));
    return r;
}

/* Descriptors that are closed together. */
struct fds {
    int *items;
    size_t n;
};

static void fds_release(struct fds *f)
{
    for (size_t i = 0; i < f->n; i++)
        close(f->items[i]);
    free(f->items);
}

static int open_folder(struct fds *f, const char *path, struct err *err)
{
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, "opening folder %s", path);
    f->items[f->n++] = fd;
    return fd;
}

/* An image may name a layer twice, overlayfs takes a folder once; what counts is the uppermost. */
static bool stands_above(const struct strv *layers, size_t i)
{
    for (size_t above = i + 1; above < layers->n; above++)
        if (streq(layers->items[above], layers->items[i]))
            return true;
    return false;
}

/* The mount's options name every folder by the number of its descriptor, relative to
 * /proc/self/fd. The kernel wants the top layer first. */
static int overlay_options(struct fds *fds, const struct strv *layers, const char *upper,
                           const char *work, struct buf *ret, struct err *err)
{
    int up = upper ? open_folder(fds, upper, err) : 0;
    int wk = up < 0 || !upper ? up : open_folder(fds, work, err);
    if (wk < 0)
        return wk;
    if (upper)
        buf_addf(ret, "upperdir=%d,workdir=%d,", up, wk);
    buf_adds(ret, "lowerdir=");
    const char *colon = "";
    for (size_t i = layers->n; i-- > 0;) {
        if (stands_above(layers, i))
            continue;
        int fd = open_folder(fds, layers->items[i], err);
        if (fd < 0)
            return fd;
        buf_addf(ret, "%s%d", colon, fd);
        colon = ":";
    }
    /* What becomes a layer of its own must not lean on those below: renamed folders are copied. */
    buf_adds(ret, ",redirect_dir=off,metacopy=off");
    return buf_check(ret, "list of layers", err);
}

int mount_overlay(const struct strv *layers, const char *upper, const char *work,
                  const char *target, struct err *err)
{
    _cleanup_(fds_release) struct fds fds = {xcalloc(layers->n + 2, sizeof(int)), 0};
    _cleanup_(buf_release) struct buf options = BUF_CAP(4095); /* a page with its NUL */
    int r = overlay_options(&fds, layers, upper, work, &options, err);
    if (r < 0)
        return r;
    _cleanup_close_ int back = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (back < 0 || chdir("/proc/self/fd") < 0)
        return err_errno(err, "entering /proc/self/fd");
    /* No nodev on a read-only root: no device can be made in it, and a user namespace can't clear a
     * nodev it got from outside, so that its root could make no mount from this one that allows
     * device nodes, as an overlay for the steps of a Dockerfile must. */
    if (mount("overlay", target, "overlay", upper ? MS_NODEV : 0, options.ptr) < 0)
        r = err_errno(err, "mounting %zu layers at %s", layers->n, target);
    if (fchdir(back) < 0 && r == 0)
        r = err_errno(err, "going back to the working folder");
    return r;
}

int mount_read_only(const char *file, struct err *err)
{
    if (mount(file, file, NULL, MS_BIND, NULL) < 0 ||
        mount(NULL, file, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) < 0)
        return err_errno(err, "making %s read-only", file);
    return 0;
}

int mount_executable(const char *dir, struct err *err)
{
    struct statvfs fs;
    if (statvfs(dir, &fs) < 0)
        return err_errno(err, "%s", dir);
    unsigned long kept = (fs.f_flag & ST_NOSUID ? MS_NOSUID : 0UL) |
                         (fs.f_flag & ST_NODEV ? MS_NODEV : 0UL) |
                         (fs.f_flag & ST_RDONLY ? MS_RDONLY : 0UL);
    if (!(fs.f_flag & ST_NOEXEC))
        return 0;
    if (mount(dir, dir, NULL, MS_BIND, NULL) < 0 ||
        mount(NULL, dir, NULL, MS_BIND | MS_REMOUNT | kept, NULL) < 0)
        return err_errno(err, "letting programs be run from %s", dir);
    return 0;
}

int mount_remove(const char *target, struct err *err)
{
    if (umount2(target, MNT_DETACH | UMOUNT_NOFOLLOW) == 0 || errno == EINVAL || errno == ENOENT)
        return 0;
    return err_errno(err, "unmounting %s", target);
}
