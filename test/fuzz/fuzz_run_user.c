/* An image's passwd and group: the user to look for, the two files, with a NUL byte between them.
 */
#include "run/rootfs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(rootfs_user_release) struct rootfs_user u = {0};
    struct str groups = {(const char *)data, size}, user = str_cut(&groups, 0);
    struct str passwd = str_cut(&groups, 0);
    _cleanup_free_ char *who = xstrndup(user.len ? user.ptr : "", user.len);
    if (rootfs_user_in(passwd, groups, who, &u, NULL) == 0 &&
        (u.uid > 65535 || u.gid > 65535 || !u.home || u.n_groups > ROOTFS_GROUPS_MAX))
        abort();
    return 0;
}
