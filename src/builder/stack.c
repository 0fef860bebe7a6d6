#include "builder/stack.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/pidfd.h>

#include "builder/registry.h"
#include "builder/stack_fill.h"
#include "os/file.h"
#include "os/spawn.h"

/* --- is it there ----------------------------------------------------------------------------- */

static bool stands_on(const struct image *i, const struct strv *parent)
{
    if (i->diff_ids.n != parent->n + 1)
        return false;
    for (size_t k = 0; k < parent->n; k++)
        if (!streq(i->diff_ids.items[k], parent->items[k]))
            return false;
    return true;
}

static bool ready(const struct stacks *s, const struct recipe *r, const struct strv *parent,
                  struct strv *ret)
{
    struct image i = {0};
    _cleanup_free_ char *label = recipe_label(s->config, r);
    if (image_get(s->images, r->name, &i, NULL) < 0)
        return false;
    bool ok = stands_on(&i, parent) && strv_has(&i.labels, label);
    if (ok)
        strv_add(ret, i.diff_ids.items[parent->n]);
    image_release(&i);
    return ok;
}

/* --- making it ------------------------------------------------------------------------------- */

/* Seals the layer and names the chain that it ends. */
static int keep(const struct stacks *s, const struct recipe *r, const struct strv *parent,
                const char *dir, const char *ref, char **ret_diff_id, struct err *err)
{
    _cleanup_free_ char *diff_id = NULL, *digest = NULL;
    int e = image_layer_seal(s->images, dir, &diff_id, err);
    if (e < 0)
        return e;
    struct image i = {0};
    for (size_t k = 0; k < parent->n; k++)
        strv_add(&i.diff_ids, parent->items[k]);
    strv_add(&i.diff_ids, diff_id);
    strv_add(&i.env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    strv_take(&i.labels, recipe_label(s->config, r));
    e = image_write(s->images, &i, &digest, err);
    if (!e)
        e = image_ref_set(s->images, ref, digest, err);
    image_release(&i);
    if (!e)
        *ret_diff_id = TAKE_PTR(diff_id);
    return e;
}

int stack_make(const struct stacks *s, const struct recipe *r, const struct strv *parent,
               const char *ref, char **ret_diff_id, struct err *err)
{
    _cleanup_free_ char *dir = NULL;
    int e = image_tmp_dir(s->images, &dir, err);
    if (e < 0)
        return e;
    e = stack_fill(s, r, parent, dir, err);
    if (!e)
        e = keep(s, r, parent, dir, ref, ret_diff_id, err);
    dir_remove(dir, NULL); /* gone already if it became the layer */
    return e < 0 ? err_wrap(err, "preparing %s", r->title) : 0;
}

/* Under the lock: parents first. */
static int make_missing(const struct stacks *s, const struct recipe *r, struct strv *ret,
                        struct err *err)
{
    _cleanup_(found_release) struct found parent = {0};
    int e = r->parent ? find_recipe(r->parent, &parent, err) : 0;
    if (!e && r->parent)
        e = make_missing(s, &parent.recipe, ret, err);
    if (e < 0 || ready(s, r, ret, ret))
        return e;
    char *diff_id = NULL;
    output_step(s->out, "Preparing %s (once)", r->title);
    e = stack_make(s, r, ret, r->name, &diff_id, err);
    if (!e)
        strv_take(ret, diff_id);
    return e;
}

/* --- one maker at a time --------------------------------------------------------------------- */

/* There is no descriptor of flock(2) to poll beside that of a cancellation, so a program waits in
 * our place: the lock belongs to the open file, which is ours as much as its. */
static int await_lock(int fd, const struct cancel *cancel, struct err *err)
{
    _cleanup_close_ int end = -1;
    pid_t pid = spawn_start(&(struct spawn){.argv = (const char *const[]){"flock", "0", NULL},
                                            .fds = {fd, -1, -1},
                                            .die_with_parent = true,
                                            .pidfd = &end},
                            err);
    if (pid < 0)
        return pid;
    struct pollfd p[] = {{end, POLLIN, 0}, {cancel ? cancel->fd : -1, POLLIN, 0}};
    while (poll(p, ARRAY_LEN(p), -1) < 0 && errno == EINTR)
        ;
    if (!p[0].revents)
        pidfd_send_signal(end, SIGKILL, NULL, 0);
    int status = spawn_wait(pid), r = cancel_check(cancel, err);
    return r || !status ? r : err_set(err, ERR_INTERNAL, "waiting for a lock: status %d", status);
}

int stack_lock(const struct stacks *s, const char *what, int *ret, struct err *err)
{
    _cleanup_free_ char *dir = path_join(s->config->cache, "build");
    _cleanup_free_ char *path = path_join(dir, "%s.lock", what);
    int r = dir_make(dir, 0755, err);
    _cleanup_close_ int fd = r ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (!r && fd < 0)
        r = err_errno(err, "opening %s", path);
    if (!r && flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK)
            return err_errno(err, "locking %s", path);
        output_step(s->out, "Waiting for a stack that is being prepared already");
        r = await_lock(fd, s->cancel, err);
    }
    if (!r)
        *ret = TAKE_FD(fd);
    return r;
}

bool stack_ready(const struct stacks *s, const struct recipe *r, struct strv *ret)
{
    _cleanup_(found_release) struct found parent = {0};
    if (r->parent &&
        (find_recipe(r->parent, &parent, NULL) < 0 || !stack_ready(s, &parent.recipe, ret)))
        return false;
    return ready(s, r, ret, ret);
}

int stack_layers(const struct stacks *s, const char *name, struct strv *ret, struct err *err)
{
    _cleanup_(found_release) struct found f = {0};
    _cleanup_close_ int held = -1;
    int r = find_recipe(name, &f, err);
    if (r < 0 || stack_ready(s, &f.recipe, ret))
        return r;
    strv_release(ret);
    r = stack_lock(s, "stacks", &held, err);
    return r ? r : make_missing(s, &f.recipe, ret, err);
}

int stack_find_node(const struct config *c, const char *range, char **ret, struct err *err)
{
    _cleanup_(registry_package_release) struct registry_package p = {0};
    int r = registry_find(c, NODE_PACKAGE, range, &p, err);
    if (r < 0)
        return err_wrap(err, "engines.node in package.json");
    *ret = xasprintf("node-%s", p.version);
    return 0;
}
