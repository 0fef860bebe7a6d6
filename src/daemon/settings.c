#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "daemon/daemon.h"
#include "os/file.h"

/* Paths of Unix sockets have at most 107 bytes; the longest of ours below a root has 35. */
enum { SETTINGS_MAX = 1 << 20, ROOT_MAX = 72 };

int settings_load(const char *root, struct config *ret, struct err *err)
{
    char absolute[PATH_MAX] = "";
    if (*root && !realpath(root, absolute))
        return err_errno(err, "%s", root);
    if (streq(absolute, "/"))
        absolute[0] = '\0';
    if (strlen(absolute) > ROOT_MAX)
        return err_set(err, ERR_INVALID, "%s is too long for sockets below it: at most %d bytes",
                       absolute, ROOT_MAX);
    _cleanup_free_ char *path = path_join(absolute, "etc/davit/davit.conf");
    _cleanup_(buf_release) struct buf text = BUF_CAP(SETTINGS_MAX);
    int r = file_read(path, &text, err);
    if (r < 0 && r != -ERR_NOT_FOUND)
        return r;
    return config_parse(absolute, buf_str(&text), ret, err);
}
