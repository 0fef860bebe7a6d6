#include "cli/source.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/checkout.h"
#include "os/file.h"
#include "os/spawn.h"

enum { NAMES_MAX = 64 << 20 };

/* What tar couldn't read would be missing where it is deployed, so it is said before anything is
 * sent. */
static int unreadable(const char *dir, const char *name, struct err *err)
{
    err_errno(err, "%s/%s can't be read", dir, name);
    return err_hint(err, "change its mode (chmod u+r); in a git checkout .gitignore leaves it out");
}

/* Writes those of the NUL-ended names that exist: git also lists what was deleted meanwhile. */
static int write_present(const char *path, int dir, struct str names, int to, struct err *err)
{
    _cleanup_(buf_release) struct buf present = BUF_CAP(NAMES_MAX);
    while (names.len) {
        size_t n = strlen(names.ptr) + 1;
        struct stat st;
        if (fstatat(dir, names.ptr, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode)) {
            if (S_ISREG(st.st_mode) && faccessat(dir, names.ptr, R_OK, 0) < 0)
                return unreadable(path, names.ptr, err);
            buf_adds(&present, "./"); /* a name may begin with a dash */
            buf_add(&present, names.ptr, n);
        }
        names.ptr += n;
        names.len -= n;
    }
    return fd_write_all(to, present.ptr, present.len, err);
}

static int list_checkout(const char *dir, struct source *s, struct err *err)
{
    const char *const argv[] = {"git", "-C", dir, "ls-files", "-z", "-co", "--exclude-standard",
                                NULL};
    _cleanup_(buf_release) struct buf names = BUF_CAP(NAMES_MAX);
    int r = spawn_run(argv, (struct str){0}, &names, err);
    if (r < 0)
        return r;
    _cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    s->names_fd = memfd_create("names", MFD_CLOEXEC);
    if (fd < 0 || s->names_fd < 0)
        return err_errno(err, "%s", dir);
    if ((r = write_present(dir, fd, buf_str(&names), s->names_fd, err)) < 0)
        return r;
    lseek(s->names_fd, 0, SEEK_SET);
    return 0;
}

static int check_entry(const char *dir, const FTSENT *e, struct err *err)
{
    bool failed = e->fts_info == FTS_DNR || e->fts_info == FTS_ERR || e->fts_info == FTS_NS;
    if (!failed && (e->fts_info != FTS_F || access(e->fts_accpath, R_OK) == 0))
        return 0;
    if (failed)
        errno = e->fts_errno;
    size_t top = strlen(dir);
    return unreadable(dir, e->fts_path + MIN(top + 1, (size_t)e->fts_pathlen), err);
}

static int check_folder(const char *dir, struct err *err)
{
    char *const roots[] = {(char *)(uintptr_t)dir, NULL};
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    int r = tree ? 0 : err_errno(err, "%s", dir);
    FTSENT *e;
    while (!r && (e = fts_read(tree))) {
        if (e->fts_level == 1 && streq(e->fts_name, ".git"))
            fts_set(tree, e, FTS_SKIP);
        else
            r = check_entry(dir, e, err);
    }
    if (tree)
        fts_close(tree);
    return r;
}

int source_open(const char *dir, struct source *ret, struct err *err)
{
    struct stat st;
    if (stat(dir, &st) < 0)
        return err_errno(err, "%s", dir);
    if (!S_ISDIR(st.st_mode)) {
        err_set(err, ERR_USAGE, "%s is not a folder", dir);
        return err_hint(err, "deploy a tar file: davit deploy --archive %s", dir);
    }
    _cleanup_(source_close) struct source s = SOURCE_INIT;
    bool checkout = checkout_is_one(dir);
    int r = checkout ? list_checkout(dir, &s, err) : check_folder(dir, err);
    int p[2];
    if (r < 0)
        return r;
    if (pipe2(p, O_CLOEXEC) < 0)
        return err_errno(err, "%s", dir);
    const char *const listed[] = {"tar", "-C", dir,   "--null", "--no-recursion",
                                  "-T",  "-",  "-cf", "-",      NULL};
    const char *const all[] = {"tar", "-C", dir, "--exclude=./.git", "-cf", "-", ".", NULL};
    struct spawn tar = {.argv = checkout ? listed : all,
                        .fds = {s.names_fd, p[1], STDERR_FILENO},
                        .die_with_parent = true};
    s.fd = p[0];
    s.tar = spawn_start(&tar, err);
    close(p[1]);
    if (s.tar < 0)
        return (int)s.tar;
    *ret = s;
    s = SOURCE_INIT;
    return 0;
}

int source_finish(struct source *s, struct err *err)
{
    int status = s->tar > 0 ? spawn_wait(s->tar) : 0;
    s->tar = 0;
    return status ? err_set(err, ERR_IO, "deployed, but without what tar could not read") : 0;
}

void source_close(struct source *s)
{
    closep(&s->fd);
    closep(&s->names_fd);
    if (s->tar > 0) {
        kill(s->tar, SIGTERM);
        spawn_wait(s->tar);
    }
    *s = SOURCE_INIT;
}
