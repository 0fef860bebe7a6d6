#include "shim/container.h"

#include <errno.h>
#include <sys/stat.h>

#include "os/cgroup.h"
#include "os/file.h"
#include "os/namespace.h"
#include "os/spawn.h"

void container_init(struct container *c, const struct spec *spec, const char *bundle)
{
    c->spec = spec;
    c->bundle = bundle;
    c->state = xasprintf("%s/../../crun", bundle);
    c->pid_file = xasprintf("%s/pid", bundle);
}

void container_release(struct container *c)
{
    free(c->state);
    free(c->pid_file);
}

/* A new folder in place of the old one, with its owner and mode: a mount that is still being torn
 * down keeps the old one to itself. */
static int renew_folder(const char *path, struct err *err)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return err_errno(err, "%s", path);
    int r = dir_remove(path, err);
    if (r < 0)
        return r;
    if (mkdir(path, 0700) < 0 || chown(path, st.st_uid, st.st_gid) < 0 ||
        chmod(path, st.st_mode & 07777) < 0)
        return err_errno(err, "making folder %s", path);
    return 0;
}

int container_mount(const struct container *c, struct err *err)
{
    const struct spec *s = c->spec;
    int r = mount_remove(s->rootfs, err);
    if (!r)
        r = renew_folder(s->upper, err);
    if (!r)
        r = renew_folder(s->work, err);
    return r ? r : mount_overlay(&s->layers, s->upper, s->work, s->rootfs, err);
}

void container_unmount(const struct container *c) { mount_remove(c->spec->rootfs, NULL); }

int container_start(const struct container *c, int output, int *ret_pidfd, struct err *err)
{
    const char *const argv[] = {
        "crun",       "--cgroup-manager=cgroupfs",
        "--root",     c->state,
        "run",        "--detach",
        "--bundle",   c->bundle,
        "--pid-file", c->pid_file,
        "--",         c->spec->name,
        NULL,
    };
    struct spawn s = {.argv = argv, .fds = {-1, output, output}, .pidfd = ret_pidfd};
    pid_t pid = spawn_start(&s, err);
    return pid < 0 ? pid : 0;
}

int container_pid(const struct container *c, pid_t *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_CAP(32);
    uint64_t pid;
    int r = file_read(c->pid_file, &text, err);
    if (!r)
        r = str_to_u64(str_trim(buf_str(&text)), 1, INT32_MAX, &pid, err);
    if (r < 0)
        return err_wrap(err, "crun's pid file");
    *ret = (pid_t)pid;
    return 0;
}

int container_clear(const struct container *c, struct err *err)
{
    const struct spec *s = c->spec;
    _cleanup_free_ char *known = xasprintf("%s/%s", c->state, s->name);
    int r = cgroup_kill(s->cgroup, 5000, err);
    if (!r && path_exists(known)) {
        const char *const argv[] = {"crun",   "--cgroup-manager=cgroupfs",
                                    "--root", c->state,
                                    "delete", "--force",
                                    "--",     s->name,
                                    NULL};
        r = spawn_run(argv, (struct str){NULL, 0}, NULL, err);
    }
    if (!r)
        r = cgroup_remove(s->cgroup, err);
    unlink(c->pid_file);
    return r;
}
