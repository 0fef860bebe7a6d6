/* The api operator: opens its doors when the mirror is full, and after each change in the store
 * wakes the streams that wait for one. */
#include "api/api.h"

#include "api/audit.h"
#include "api/builds.h"
#include "api/change.h"
#include "http/server.h"
#include "api/remains.h"
#include "git/repo.h"
#include "http/request.h"
#include "git/upkeep.h"
#include "base/log.h"
#include "os/file.h"

static int make_root(struct change *c, void *arg, struct err *err)
{
    (void)arg;
    _cleanup_free_ char *key = key_user("root");
    _cleanup_(user_release) struct user old = {0};
    int r = change_read(c, key, &user_schema, &old, err);
    if (r != -ERR_NOT_FOUND)
        return r < 0 ? r : 1;
    struct user root = {.name = (char *)"root", .created = c->now, .role = ROLE_ADMIN};
    change_put(c, key, &user_schema, &root);
    return 0;
}

static int make_folders(const struct config *c, struct err *err)
{
    _cleanup_free_ char *git = path_join(c->state, "git"), *builds = path_join(c->state, "builds");
    int r = dir_make(c->run, 0755, err);
    if (r < 0 || (r = dir_make(git, 0750, err)) < 0)
        return r;
    return dir_make(builds, 0750, err);
}

static int start(struct op *op, void *ctx, struct err *err)
{
    struct api *api = ctx;
    api->op = op;
    int r = make_folders(api->config, err);
    if (r < 0 || (r = audit_find_ends(api, err)) < 0 ||
        (r = change_make(api, &identity_davit, "user.create", NULL, make_root, NULL, err)) < 0)
        return r;
    builds_cancel_orphans(api);
    repos_unlock(api->config);
    api->upkeep = upkeep_new(operator_loop(op), api->config);
    r = server_start(api, DOOR_LOCAL, &api->local, err);
    return r < 0 ? r : server_start(api, DOOR_GATEWAY, &api->gateway, err);
}

static void reconcile(struct op *op, void *ctx, int64_t now)
{
    (void)op;
    (void)now;
    remains_pass(ctx);
    requests_changed(ctx);
}

static void stop(struct op *op, void *ctx)
{
    (void)op;
    struct api *api = ctx;
    requests_hang_up(api);
    server_stop(TAKE_PTR(api->local));
    server_stop(TAKE_PTR(api->gateway));
    upkeep_free(TAKE_PTR(api->upkeep));
}

static int api_main(const struct config *c)
{
    struct api api = {.config = c};
    return operator_run(&api_operator, c, &api);
}

static const struct folder folders[] = {
    {BELOW(state), "git", 0750, OWNER_USER},
    {BELOW(state), "builds", 0750, OWNER_USER},
    {0},
};

const struct operator_desc api_operator = {
    .name = "api",
    .what = "HTTP API and git endpoint",
    .scope = SCOPE_NODE,
    .as_user = true,
    .folders = folders,
    .main = api_main,
    .prefixes = (const char *const[]){"/apps/", "/builds/", "/instances/", "/remains/", "/routing/",
                                      "/stacks/", "/users/", "/tokens/", NULL},
    .start = start,
    .reconcile = reconcile,
    .stop = stop,
};
