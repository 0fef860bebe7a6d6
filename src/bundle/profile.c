/* What is made out of JSON that exists already. */
#include <jansson.h>

#include "bundle/config.h"
#include "os/file.h"

enum { PROFILE_MAX = 1 << 20 };

static int add_to_buf(const char *text, size_t n, void *ctx)
{
    buf_add(ctx, text, n);
    return 0;
}

/* Container tools make mounts and namespaces, which the profile forbids: they have that and a
 * little more. */
int bundle_profile(const struct config *c, unsigned grants, struct buf *ret, struct err *err)
{
    _cleanup_free_ char *path = path_join(c->data, "seccomp.json");
    _cleanup_free_ char *more_path = path_join(c->data, "seccomp-builder.json");
    _cleanup_(buf_release) struct buf base = BUF_CAP(PROFILE_MAX), more = BUF_CAP(PROFILE_MAX);
    bool widened = grants & GRANT_CONTAINERS;
    int r = file_read(path, widened ? &base : ret, err);
    if (r < 0 || !widened)
        return r;
    if ((r = file_read(more_path, &more, err)) < 0)
        return r;
    json_t *profile = json_loadb(base.ptr, base.len, 0, NULL);
    json_t *added = json_loadb(more.ptr, more.len, 0, NULL);
    bool joined = json_array_extend(json_object_get(profile, "syscalls"), added) == 0 &&
                  json_dump_callback(profile, add_to_buf, ret, JSON_COMPACT) == 0;
    json_decref(profile);
    json_decref(added);
    return joined ? buf_check(ret, "profile", err)
                  : err_set(err, ERR_INTERNAL, "%s and %s can't be joined", path, more_path);
}

int bundle_process(struct str config, const struct strv *command, struct buf *ret, struct err *err)
{
    json_t *all = json_loadb(config.ptr, config.len, 0, NULL);
    json_t *process = json_object_get(all, "process"), *args = json_array();
    for (size_t i = 0; i < command->n; i++)
        json_array_append_new(args, json_string(command->items[i]));
    bool ok = json_object_set_new(process, "args", args) == 0 &&
              json_dump_callback(process, add_to_buf, ret, JSON_COMPACT) == 0;
    json_decref(all);
    return ok ? buf_check(ret, "a command's process", err)
              : err_set(err, ERR_INVALID, "config.json names no process");
}
