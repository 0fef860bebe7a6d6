/* The api operator: opens its doors when the mirror is full, and after each change in the store
 * wakes the streams that wait for one. */
#include "api/api.h"

#include "api/audit.h"
#include "api/builds.h"
#include "api/change.h"
#include "api/apps.h"
#include "api/routes.h"
#include "api/remains.h"
#include "api/view.h"
#include "base/log.h"
#include "git/git.h"
#include "git/repo.h"
#include "http/server.h"
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

static const char *branch_of(void *ctx, const char *app)
{
    const struct app *a = view_app(ctx, app);
    return a && a->branch ? a->branch : a ? "" : NULL;
}

static int create_app(void *ctx, const struct identity *who, const char *app, struct err *err)
{
    return app_create(ctx, who, app, err);
}

static int open_doors(struct api *api, struct err *err)
{
    const struct config *c = api->config;
    _cleanup_free_ char *local = path_join(c->run, "davit.sock"),
                        *gateway = path_join(c->run, "gateway-api.sock");
    api->git = git_new(&(struct git_options){.loop = operator_loop(api->op),
                                             .config = c,
                                             .branch = branch_of,
                                             .create = create_app,
                                             .ctx = api});
    api->groups[0] = git_group(api->git);
    api->groups[1] = api_group(api);
    api->httpd = httpd_new(&(struct httpd_options){.loop = operator_loop(api->op),
                                                   .groups = api->groups,
                                                   .patience = (uint64_t)c->upload_max << 21,
                                                   .ctx = api,
                                                   .authenticate = authenticate,
                                                   .holds = identity_holds});
    int r = httpd_listen(api->httpd, local, 0666, DOOR_LOCAL, err);
    return r < 0 ? r : httpd_listen(api->httpd, gateway, 0600, DOOR_GATEWAY, err);
}

static int start(struct op *op, void *ctx, struct err *err)
{
    struct api *api = ctx;
    api->op = op;
    int r = make_folders(api->config, err);
    if (r < 0 || (r = audit_find_ends(api, err)) < 0 ||
        (r = change_make(api, &identity_davit, "user.create", NULL, make_root, NULL, err)) < 0)
        return r;
    repos_unlock(api->config);
    return open_doors(api, err);
}

static void reconcile(struct op *op, void *ctx, int64_t now)
{
    (void)op;
    (void)now;
    struct api *api = ctx;
    remains_pass(api);
    httpd_changed(api->httpd);
}

static void stop(struct op *op, void *ctx)
{
    (void)op;
    struct api *api = ctx;
    httpd_free(TAKE_PTR(api->httpd));
    git_free(TAKE_PTR(api->git));
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
    .watches =
        (const struct schema *const[]){&app_schema, &build_schema, &instance_schema,
                                       &remains_schema, &routing_schema, &stack_schema,
                                       &user_schema, &token_schema, &gateway_status_schema, NULL},
    .start = start,
    .reconcile = reconcile,
    .stop = stop,
};
