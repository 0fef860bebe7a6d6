#include "builder/folder.h"

#include <fcntl.h>
#include <unistd.h>

#include "os/below.h"
#include "os/file.h"

static int open_folder(const struct config *c, const char *id)
{
    _cleanup_free_ char *builds = path_join(c->state, "builds");
    if (!path_is_component(id) || dir_make(builds, 0755, NULL) < 0)
        return -1;
    _cleanup_close_ int above = open(builds, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return above < 0 ? -1 : below_folder(above, id, 0755);
}

int folder_open(const struct config *c, const char *id, const char *name, int flags,
                struct err *err)
{
    _cleanup_close_ int dir = open_folder(c, id);
    int fd = dir < 0 ? -1 : below_open(dir, name, flags, 0644);
    return fd < 0 ? err_errno(err, "opening %s/builds/%s/%s", c->state, id, name) : fd;
}

void folder_forget(const struct config *c, const char *id, const char *name)
{
    _cleanup_close_ int dir = open_folder(c, id);
    if (dir >= 0)
        unlinkat(dir, name, 0);
}
