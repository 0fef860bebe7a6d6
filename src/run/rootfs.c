#include "run/rootfs.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static int open_in(const char *layer, const char *path, int flags)
{
    _cleanup_close_ int root = open(layer, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC),
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    return root < 0 ? -1 : (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

int rootfs_open(const struct strv *layers, const char *path, int flags)
{
    for (size_t i = layers->n; i-- > 0;) {
        _cleanup_close_ int fd = open_in(layers->items[i], path, O_PATH);
        struct stat st;
        if (fd < 0 || fstat(fd, &st) < 0)
            continue;
        if (S_ISCHR(st.st_mode) && st.st_rdev == 0) /* a whiteout */
            return -1;
        return flags == O_PATH ? TAKE_FD(fd) : open_in(layers->items[i], path, flags);
    }
    return -1;
}

bool rootfs_has(const struct strv *layers, const char *path)
{
    _cleanup_close_ int fd = rootfs_open(layers, path, O_PATH);
    return fd >= 0;
}

void rootfs_user_release(struct rootfs_user *u)
{
    free(u->home);
    *u = (struct rootfs_user){0};
}

static void read_file(const struct strv *layers, const char *path, struct buf *ret)
{
    _cleanup_close_ int fd = rootfs_open(layers, path, O_RDONLY | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return;
    char chunk[8192];
    ssize_t n;
    while ((n = read(fd, chunk, sizeof(chunk))) > 0 && !ret->overflow)
        buf_add(ret, chunk, (size_t)n);
}

static bool number(struct str s, uint32_t *ret)
{
    uint64_t v;
    if (str_to_u64(s, 0, UINT32_MAX - 1, &v, NULL) < 0)
        return false;
    *ret = (uint32_t)v;
    return true;
}

/* The next line of etc/passwd or etc/group, cut into fields. False at the end. */
static bool next_entry(struct str *text, struct str fields[7])
{
    if (!text->ptr)
        return false;
    struct str line = str_cut(text, '\n');
    for (int i = 0; i < 7; i++)
        fields[i] = line.ptr ? str_cut(&line, ':') : (struct str){"", 0};
    return true;
}

/* name:password:uid:gid:comment:home:shell, by name or by uid. */
static bool find_user(struct str passwd, struct str who, struct rootfs_user *u,
                      struct str *ret_name)
{
    uint32_t uid = 0, entry;
    bool numeric = number(who, &uid);
    struct str f[7];
    while (next_entry(&passwd, f)) {
        if (!number(f[2], &entry) || !(numeric ? entry == uid : str_eq(f[0], who)))
            continue;
        u->uid = entry;
        if (!number(f[3], &u->gid))
            u->gid = 0;
        if (f[5].len) {
            free(u->home);
            u->home = xstrndup(f[5].ptr, f[5].len);
        }
        *ret_name = f[0];
        return true;
    }
    u->uid = uid;
    return numeric;
}

/* name:password:gid:members */
static bool find_group(struct str groups, struct str which, uint32_t *ret)
{
    uint32_t entry;
    struct str f[7];
    if (number(which, ret))
        return true;
    while (next_entry(&groups, f))
        if (str_eq(f[0], which) && number(f[2], &entry)) {
            *ret = entry;
            return true;
        }
    return false;
}

static void add_memberships(struct str groups, struct str name, struct rootfs_user *u)
{
    struct str f[7];
    uint32_t gid;
    while (name.len && next_entry(&groups, f)) {
        struct str members = f[3];
        while (members.ptr) {
            struct str member = str_cut(&members, ',');
            if (str_eq(member, name) && number(f[2], &gid) && gid != u->gid &&
                u->n_groups < ROOTFS_GROUPS_MAX)
                u->groups[u->n_groups++] = gid;
        }
    }
}

int rootfs_user_in(struct str passwd, struct str groups, const char *user, struct rootfs_user *ret,
                   struct err *err)
{
    _cleanup_(rootfs_user_release) struct rootfs_user u = {.home = xstrdup("/")};
    struct str group = str_of(*user ? user : "0"), name = {"", 0};
    struct str who = str_cut(&group, ':');
    if (!find_user(passwd, who, &u, &name))
        return err_set(err, ERR_UNPROCESSABLE, "the image has no user '%.*s'",
                       (int)MIN(who.len, (size_t)64), who.ptr);
    if (group.ptr && !find_group(groups, group, &u.gid))
        return err_set(err, ERR_UNPROCESSABLE, "the image has no group '%.*s'",
                       (int)MIN(group.len, (size_t)64), group.ptr);
    if (!group.ptr)
        add_memberships(groups, name, &u);
    if (u.uid > 65535 || u.gid > 65535)
        return err_set(err, ERR_UNPROCESSABLE,
                       "user '%s' is number %u:%u in the image; up to 65535 are possible", user,
                       u.uid, u.gid);
    *ret = u;
    u = (struct rootfs_user){0};
    return 0;
}

int rootfs_user(const struct strv *layers, const char *user, struct rootfs_user *ret,
                struct err *err)
{
    _cleanup_(buf_release) struct buf passwd = BUF_CAP(ROOTFS_FILE_MAX);
    _cleanup_(buf_release) struct buf groups = BUF_CAP(ROOTFS_FILE_MAX);
    read_file(layers, "etc/passwd", &passwd);
    read_file(layers, "etc/group", &groups);
    return rootfs_user_in(buf_str(&passwd), buf_str(&groups), user, ret, err);
}
