#include "api/routes.h"

#include "model/names.h"

#define APP_PATTERN                                                                                \
    "^(?!(api|www|davit|davitd|git|localhost|mail|status|router|dashboard|dns|internal)$)"         \
    "[a-z]([a-z0-9-]{0,28}[a-z0-9])?$"
#define LABEL "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"

const struct text_kind kind_app = {APP_PATTERN, APP_NAME_MAX, app_name_check},
                       kind_user = {"^[a-z][a-z0-9._@-]{0,31}$", 32, user_name_check},
                       kind_host = {"^([*][.])?" LABEL "([.]" LABEL ")+$", HOST_MAX, host_check};

static int check_number(const char *text, struct err *err)
{
    uint64_t n;
    int r = str_to_u64(str_of(text + (*text == 'v')), 1, INT32_MAX, &n, err);
    return r < 0 ? err_wrap(err, "the release's number") : 0;
}

const struct param api_params[] = {
    {"app", "the app", .kind = &kind_app},
    {"user", "the user", .kind = &kind_user},
    {"host", "the host name", .kind = &kind_host},
    {"n", "the release's number",
     .kind = &(const struct text_kind){"^v?0{0,3}[1-9][0-9]{0,8}$", 0, check_number}},
    {0},
};

const struct route *const api_routes[] = {
    app_routes,   process_routes, config_routes, release_routes, domain_routes,   log_routes,
    build_routes, event_routes,   token_routes,  user_routes,    platform_routes, NULL,
};

struct route_group api_group(struct api *api)
{
    return (struct route_group){.prefix = "/",
                                .tables = api_routes,
                                .params = api_params,
                                .ctx = api,
                                .hint = "GET /v1/openapi.yaml lists what there is"};
}
