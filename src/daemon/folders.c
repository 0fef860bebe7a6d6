#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "daemon/daemon.h"
#include "os/below.h"
#include "os/file.h"

/* Folders in which both root and the user make entries are root's, the group's to write and
 * sticky: neither can move the other's away. Files that both of them open can't lie there: with
 * fs.protected_regular, which systemd sets, not even root opens another's with O_CREAT, as SQLite
 * does; so the store has a folder of its own. Instances' mapped users need to pass through to
 * their own. */
static int folder(const char *path, mode_t mode, uid_t uid, gid_t gid, struct err *err)
{
    int r = dir_make(path, 0755, err);
    if (r < 0)
        return r;
    _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fchown(fd, uid, gid) < 0 || fchmod(fd, mode) < 0)
        return err_errno(err, "%s", path);
    return 0;
}

/* An empty file of root's in a folder where others make entries, too. One that is there stays: in
 * shims' views something is mounted on it. */
static int file(const char *dir, const char *name, struct err *err)
{
    _cleanup_close_ int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (at < 0)
        return err_errno(err, "%s", dir);
    int fd = below_open(at, name, O_RDONLY, 0);
    if (fd < 0 && errno == ENOENT)
        fd = below_open(at, name, O_RDONLY | O_CREAT | O_EXCL, 0644);
    int r = fd < 0 || fchown(fd, 0, 0) < 0 || fchmod(fd, 0644) < 0
                ? err_errno(err, "%s/%s", dir, name)
                : 0;
    closep(&fd);
    return r;
}

/* Where the store was up to November 2026. Its log goes first: whether the store has moved, the
 * database alone tells. */
static int move_store(const struct config *c, struct err *err)
{
    static const char *const files[] = {"state.db-wal", "state.db"};
    _cleanup_free_ char *there = path_join(c->state, "store/state.db");
    for (size_t i = 0; i < ARRAY_LEN(files) && !path_exists(there); i++) {
        _cleanup_free_ char *from = path_join(c->state, "%s", files[i]);
        _cleanup_free_ char *to = path_join(c->state, "store/%s", files[i]);
        if (rename(from, to) < 0 && errno != ENOENT)
            return err_errno(err, "moving %s to %s", from, to);
    }
    return 0;
}

/* An empty file is an empty SQLite database. Made here, so that it is the user's whoever opens it
 * first; SQLite gives its log files the same owner. */
static int database(const struct config *c, const struct account *a, struct err *err)
{
    _cleanup_free_ char *path = path_join(c->state, "store/state.db");
    _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0660);
    if (fd < 0)
        return errno == EEXIST ? 0 : err_errno(err, "%s", path);
    if (fchown(fd, a->uid, a->gid) < 0 || fchmod(fd, 0660) < 0)
        return err_errno(err, "%s", path);
    return 0;
}

int folders_make(const struct config *c, struct err *err)
{
    struct account a;
    int r = account_find(c, &a, err);
    if (r < 0)
        return r;
    const struct {
        const char *base, *name;
        mode_t mode;
        uid_t uid;
        gid_t gid;
    } all[] = {
        {c->etc, NULL, 0755, 0, 0},
        {c->state, NULL, 0711, 0, 0},
        {c->state, "store", 0750, a.uid, a.gid},
        {c->state, "images", 0711, 0, 0},
        {c->state, "git", 0750, a.uid, a.gid},
        {c->state, "builds", 0750, a.uid, a.gid},
        {c->state, "gateway", 0700, a.uid, a.gid},
        {c->state, "instances", 0711, 0, 0},
        {c->cache, NULL, 0755, 0, 0},
        {c->cache, "build", 0711, 0, 0},
        {c->run, NULL, 01775, 0, a.gid},
        {c->run, "instances", 0711, 0, 0},
        {c->run, "gateway", 0750, a.uid, a.gid},
        {c->run, "build", 0755, 0, 0}, /* root's, before anybody can take the name */
        {c->run, "crun", 0700, 0, 0},
        {c->run, "shared", 0755, (uid_t)c->uid_base, (gid_t)c->uid_base},
        {c->run, "rootfs", 0755, 0, 0},
        {c->run, "sysfs", 0755, 0, 0},
        {c->log, NULL, 03775, 0, a.gid},
    };
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        _cleanup_free_ char *path =
            all[i].name ? path_join(all[i].base, "%s", all[i].name) : xstrdup(all[i].base);
        r = folder(path, all[i].mode, all[i].uid, all[i].gid, err);
        if (r < 0)
            return r;
    }
    if ((r = file(c->run, "userns", err)) < 0)
        return r;
    r = move_store(c, err);
    return r ? r : database(c, &a, err);
}
