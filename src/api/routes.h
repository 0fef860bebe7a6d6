/* The one table of routes: ROUTE(method, path, handler, role, summary, request, response).
 * Dispatch, authorisation and docs/openapi.yaml come from it. `{x}` is one path component.
 * role: the least that may call it (ROLE_…). Request and response name the body: "-" none, a noun
 * of model/nouns.h as JSON (lists as {"items": […]}), or as described.
 *
 * Errors are {"code", "message", "hint"} with the status of base/err_codes.h. Everything else is
 * JSON but the streams: text/plain, chunked, flushed line by line. */
/* clang-format off */
ROUTE(GET,    "/v1/status",                    status,          VIEWER,    "Version, counts, whether the gateway serves", "-", "{version, user, role, domain, listen, http_port, https_port, apps, instances, gateway: {state: ok|starting|failing, message, hint}, removing: [{app, waits_for}]}")
ROUTE(GET,    "/v1/apps",                      apps_list,       VIEWER,    "All apps",                             "-", "items of {name, owner, created, release, url, instances, ready}; url is empty if a release has no web process")
ROUTE(POST,   "/v1/apps",                      apps_create,     DEVELOPER, "Create an app",                        "{name}", "{name, owner, created, url, git_url}")
ROUTE(GET,    "/v1/apps/{app}",                apps_show,       VIEWER,    "One app",                              "-", "{name, owner, created, branch, url, git_url, release, formation, instances, ready, maintenance, domains}")
ROUTE(DELETE, "/v1/apps/{app}",                apps_destroy,    DEVELOPER, "Destroy an app and all that is its; ends when nothing is left of it, or after 25 s. Trailer Davit-Result, `unfinished` if the removal still goes on", "-", "text stream")
ROUTE(GET,    "/v1/apps/{app}/ps",             ps_list,         VIEWER,    "Its instances",                        "-", "items of instance, by type and index")
ROUTE(PATCH,  "/v1/apps/{app}/formation",      formation_set,   DEVELOPER, "Scale",                                "{\"web\": 3, …}", "{the whole formation}")
ROUTE(POST,   "/v1/apps/{app}/restart",        restart,         DEVELOPER, "Replace all instances by new ones",    "-", "{generation}")
ROUTE(PUT,    "/v1/apps/{app}/maintenance",    maintenance_set, DEVELOPER, "Maintenance on or off",                "{on: bool}", "{on}")
ROUTE(GET,    "/v1/apps/{app}/config",         config_get,      DEVELOPER, "Config variables",                     "-", "{\"NAME\": \"value\", …}")
ROUTE(PATCH,  "/v1/apps/{app}/config",         config_set,      DEVELOPER, "Set and unset (null); ?restart=0 makes no release", "{\"NAME\": \"value\"|null, …}", "{release, vars}: release 0 if none was made")
ROUTE(GET,    "/v1/apps/{app}/releases",       releases_list,   VIEWER,    "Releases, newest first",               "-", "items of release with its status inside as `status`")
ROUTE(GET,    "/v1/apps/{app}/releases/{n}",   releases_show,   VIEWER,    "One release",                          "-", "release with `status`")
ROUTE(POST,   "/v1/apps/{app}/rollback",       rollback,        DEVELOPER, "A new release of an old one; to: 0 is the last live one before", "{to: N}", "release")
ROUTE(GET,    "/v1/apps/{app}/releases/{n}/output", release_output, VIEWER, "Follow a release until it is live or failed; trailer Davit-Result", "-", "text stream")
ROUTE(GET,    "/v1/apps/{app}/domains",        domains_list,    VIEWER,    "Further host names",                   "-", "items of domain")
ROUTE(POST,   "/v1/apps/{app}/domains",        domains_add,     DEVELOPER, "Add a host name",                      "{host}", "domain")
ROUTE(DELETE, "/v1/apps/{app}/domains/{host}", domains_remove,  DEVELOPER, "Remove a host name",                   "-", "-")
ROUTE(GET,    "/v1/apps/{app}/logs",           logs,            VIEWER,    "Log lines; ?n=100 &follow=1 &process=web.1 &source=app|router|davit &since=RFC3339", "-", "text stream")
ROUTE_OPEN(POST, "/v1/apps/{app}/builds",       builds_create, open_builds_create, DEVELOPER, "Build and deploy what the body holds, a tar; or ?image=REF without a body. ?commit &branch &description. Ends with trailer Davit-Result; the connection is the build's leash", "tar", "text stream; header Davit-Build: ID")
ROUTE(GET,    "/v1/builds/{id}",               builds_show,     VIEWER,    "One build",                            "-", "build with `status`")
ROUTE(GET,    "/v1/builds/{id}/output",        builds_output,   VIEWER,    "Its output, followed while it runs",   "-", "text stream; trailer Davit-Result")
ROUTE(GET,    "/v1/events",                    events_list,     VIEWER,    "The audit log; ?app=A &n=100 &follow=1", "-", "items of event; with follow a stream of one JSON document a line")
ROUTE(GET,    "/v1/tokens",                    tokens_list,     VIEWER,    "Your tokens",                          "-", "items of token with `id`, the first 12 hex digits of its hash")
ROUTE(POST,   "/v1/tokens",                    tokens_create,   DEVELOPER, "A new token; shown once. For another user by an admin", "{name, ttl: seconds or 0, user}", "{token, id, name, expires}")
ROUTE(DELETE, "/v1/tokens/{id}",               tokens_delete,   VIEWER,    "Revoke a token",                       "-", "-")
ROUTE(GET,    "/v1/users",                     users_list,      VIEWER,    "All users",                            "-", "items of user")
ROUTE(PUT,    "/v1/users/{user}",              users_put,       ADMIN,     "Add a user, or change their role",     "{role}", "user")
ROUTE(DELETE, "/v1/users/{user}",              users_delete,    ADMIN,     "Remove a user and their tokens",       "-", "-")
ROUTE(GET,    "/v1/stacks",                    stacks_list,     VIEWER,    "Stacks and runtimes of this machine, and whether Debian has newer packages", "-", "items of stack")
ROUTE(GET,    "/v1/openapi.yaml",              openapi,         VIEWER,    "This table as OpenAPI 3.1",            "-", "YAML")
/* clang-format on */
