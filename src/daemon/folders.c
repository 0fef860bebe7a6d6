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
static int make_folder(const char *path, mode_t mode, const struct account *a, struct err *err)
{
    int r = dir_make(path, 0755, err);
    if (r < 0)
        return r;
    _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fchown(fd, a->uid, a->gid) < 0 || fchmod(fd, mode) < 0)
        return err_errno(err, "%s", path);
    return 0;
}

/* An empty file of root's in a folder where others make entries, too. One that is there stays: in
 * shims' views something is mounted on it. */
static int make_file(const char *dir, const char *name, struct err *err)
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

static const struct folder own[] = {
    {BELOW(etc), NULL, 0755, OWNER_ROOT},
    {BELOW(state), NULL, 0711, OWNER_ROOT},
    {BELOW(state), "store", 0750, OWNER_USER},
    {BELOW(cache), NULL, 0755, OWNER_ROOT},
    {BELOW(run), NULL, 01775, OWNER_SHARED},
    {BELOW(log), NULL, 03775, OWNER_SHARED},
    {0},
};

static int make(const struct config *c, const struct folder *f, const struct account *a,
                struct err *err)
{
    const struct account owners[] = {
        [OWNER_ROOT] = {0, 0},
        [OWNER_USER] = *a,
        [OWNER_SHARED] = {0, a->gid},
        [OWNER_MAPPED] = {(uid_t)c->uid_base, (gid_t)c->uid_base},
    };
    const char *below = *(char *const *)((const char *)c + f->below);
    if (f->is_file)
        return make_file(below, f->name, err);
    _cleanup_free_ char *path = f->name ? path_join(below, "%s", f->name) : xstrdup(below);
    return make_folder(path, f->mode, &owners[f->owner], err);
}

static int make_all(const struct config *c, const struct folder *all, const struct account *a,
                    struct err *err)
{
    int r = 0;
    for (const struct folder *f = all; !r && f && f->mode; f++)
        r = make(c, f, a, err);
    return r;
}

int folders_make(const struct config *c, struct err *err)
{
    struct account a;
    int r = account_find(c, &a, err);
    if (!r)
        r = make_all(c, own, &a, err);
    for (size_t i = 0; !r && operators[i]; i++)
        r = make_all(c, operators[i]->folders, &a, err);
    if (r < 0 || (r = move_store(c, err)) < 0)
        return r;
    return database(c, &a, err);
}
