#include "shim/container.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "os/cgroup.h"
#include "os/file.h"
#include "os/namespace.h"
#include "os/spawn.h"

void container_init(struct container *c, const struct spec *spec, const char *bundle)
{
    c->spec = spec;
    c->bundle = bundle;
    c->crun = program_find("crun");
    if (!c->crun)
        c->crun = xstrdup("crun");
    c->state = xasprintf("%s/../../crun", bundle);
    c->pid_file = xasprintf("%s/pid", bundle);
    c->config = xasprintf("%s/config", bundle);
}

void container_release(struct container *c)
{
    free(c->crun);
    free(c->state);
    free(c->pid_file);
    free(c->config);
}

static bool is_empty(const char *path)
{
    DIR *dir = opendir(path);
    size_t n = 0;
    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n == 2; /* . and .. */
}

/* A new folder with its owner and mode in place of one that was used: a mount that is still being
 * torn down keeps the old one to itself. There is one at any time, should we be killed. */
static int renew_folder(const char *path, struct err *err)
{
    _cleanup_free_ char *other = xasprintf("%s~", path);
    struct stat st;
    int r = dir_remove(other, err);
    if (r < 0 || is_empty(path))
        return r;
    if (stat(path, &st) < 0)
        return err_errno(err, "%s", path);
    if (mkdir(other, 0700) < 0 || chown(other, st.st_uid, st.st_gid) < 0 ||
        chmod(other, st.st_mode & 07777) < 0 ||
        renameat2(AT_FDCWD, other, AT_FDCWD, path, RENAME_EXCHANGE) < 0)
        return err_errno(err, "renewing folder %s", path);
    return dir_remove(other, err);
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

void container_seal_crun(const struct container *c)
{
    /* crun checks for itself that it is read-only when it finds this variable. */
    if (mount_read_only(c->crun, NULL) == 0)
        setenv("_LIBCONTAINER_CLONED_BINARY", "1", 1);
}

/* Makes `c->config` a link to `target`, in place of what it was. */
static int point_config(const struct container *c, const char *target, struct err *err)
{
    _cleanup_free_ char *tmp = xasprintf("%s~", c->config);
    unlink(tmp);
    if (symlink(target, tmp) < 0 || rename(tmp, c->config) < 0)
        return err_errno(err, "making %s", c->config);
    return 0;
}

static int make_group(const struct spec *s, struct err *err)
{
    return cgroup_make(s->cgroup,
                       &(struct cgroup_limits){.memory = (int64_t)s->memory,
                                               .pids = (int64_t)s->pids,
                                               .cpu_weight = (int64_t)s->cpu_weight},
                       err);
}

int container_start(const struct container *c, int output, int *ret_crun, int *ret_pipe,
                    struct err *err)
{
    const char *const argv[] = {
        c->crun,       "--cgroup-manager=disabled",
        "--root",      c->state,
        "run",         "--detach",
        "--bundle",    c->bundle,
        "--pid-file",  c->pid_file,
        "--config",    c->config,
        c->spec->name, NULL,
    };
    int pipe[2];
    if (pipe2(pipe, O_CLOEXEC) < 0)
        return err_errno(err, "making a pipe");
    _cleanup_close_ int in = pipe[0], out = pipe[1];
    _cleanup_close_ int input = spawn_no_input(err);
    if (input < 0)
        return input;
    struct spawn s = {.argv = argv,
                      .fds = {input, output, output},
                      .fd3 = in,
                      .cgroup = c->spec->cgroup,
                      .die_with_parent = true,
                      .pidfd = ret_crun};
    int r = make_group(c->spec, err);
    if (!r)
        r = point_config(c, "/proc/self/fd/3", err);
    if (!r)
        r = spawn_start(&s, err);
    if (r < 0)
        return r;
    *ret_pipe = TAKE_FD(out);
    return 0;
}

/* crun reads its configuration twice: to its end, which comes when the pipe is closed, and again
 * to keep a copy. By then, or if it comes late to the first, it finds the file. */
int container_configure(const struct container *c, int pipe, struct err *err)
{
    _cleanup_close_ int out = pipe;
    _cleanup_free_ char *path = xasprintf("%s/config.json", c->bundle);
    _cleanup_close_ int in = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = in < 0 ? -1 : 1;
    while (n > 0 || (n < 0 && in >= 0 && errno == EINTR))
        n = sendfile(out, in, NULL, 1 << 20);
    if (n < 0 && errno != EPIPE) /* that is: crun has ended, and will be asked why */
        return err_errno(err, "giving %s to crun", path);
    return point_config(c, "config.json", err);
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
    unlink(c->config);
    *ret = (pid_t)pid;
    return 0;
}

/* `crun delete` would do no more: without processes and with a cgroup that is ours, all that crun
 * has of a container is this folder. */
int container_clear(const struct container *c, struct err *err)
{
    _cleanup_free_ char *known = xasprintf("%s/%s", c->state, c->spec->name);
    int r = cgroup_kill(c->spec->cgroup, 5000, err); /* crun too, if it didn't come to its end */
    if (!r)
        r = dir_remove(known, err);
    if (!r)
        r = cgroup_remove(c->spec->cgroup, err);
    unlink(c->pid_file);
    unlink(c->config);
    return r;
}
