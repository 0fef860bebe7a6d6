#include "builder/source.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "builder/limits.h"
#include "os/file.h"

void source_release(struct source *s)
{
    free(s->diff_id);
    free(s->dir);
    *s = (struct source){0};
}

static int make_app_dir(const struct config *c, const char *tmp, char **ret, struct err *err)
{
    _cleanup_free_ char *app = path_join(tmp, "app");
    uid_t owner = (uid_t)c->uid_base + APP_UID;
    if (mkdir(app, 0755) < 0 || chown(app, owner, owner) < 0)
        return err_errno(err, "making %s", app);
    *ret = TAKE_PTR(app);
    return 0;
}

static int unpack(const struct config *c, struct image_store *images, int archive, const char *like,
                  const char *tmp, struct err *err)
{
    _cleanup_free_ char *app = NULL;
    int r = make_app_dir(c, tmp, &app, err);
    struct unpack_limits limits = source_limits(c);
    limits.owner = APP_UID;
    if (!r)
        r = image_unpack(images, archive, app, false, like, &limits, err);
    /* The same sources make the same layer, whenever they come. */
    const struct timespec never[2] = {{0, 0}, {0, 0}};
    if (!r && utimensat(AT_FDCWD, app, never, 0) < 0)
        r = err_errno(err, "setting the time of %s", app);
    return r;
}

int source_unpack(const struct config *c, struct image_store *images, int archive, const char *last,
                  struct source *ret, struct err *err)
{
    _cleanup_free_ char *tmp = NULL, *before = NULL, *like = NULL, *layer = NULL;
    if (last && *last) {
        before = image_layer_path(images, last);
        like = path_join(before, "app");
    }
    int r = image_tmp_dir(images, &tmp, err);
    if (r < 0)
        return r;
    r = unpack(c, images, archive, like && path_exists(like) ? like : NULL, tmp, err);
    if (!r)
        r = image_layer_seal(images, tmp, &ret->diff_id, err);
    if (r < 0) {
        dir_remove(tmp, NULL);
        return r;
    }
    layer = image_layer_path(images, ret->diff_id);
    ret->dir = path_join(layer, "app");
    return 0;
}
