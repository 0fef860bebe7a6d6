#include <stdio.h>
#include <unistd.h>

#include "cli/checkout.h"
#include "cli/client.h"
#include "cli/remote.h"
#include "cli/table.h"
#include "os/spawn.h"

int verb_apps_list(struct cli *cli, struct err *err)
{
    static const struct column columns[] = {
        {"APP", "name", COLUMN_TEXT},
        {"RELEASE", "release", COLUMN_RELEASE},
        {"READY", "ready", COLUMN_NUMBER},
        {"INSTANCES", "instances", COLUMN_NUMBER},
        {"OWNER", "owner", COLUMN_TEXT},
        {"URL", "url", COLUMN_TEXT},
        {0},
    };
    json_auto_t *doc = NULL;
    int r = api_call(cli, "GET", "/v1/apps", NULL, &doc, err);
    return r < 0
               ? r
               : table_print(cli, doc, columns, "No apps yet. Create one: davit apps create", err);
}

/* Without a name, the folder's, as far as it can be one. */
static char *name_of_folder(void)
{
    _cleanup_free_ char *here = getcwd(NULL, 0);
    const char *slash = here ? strrchr(here, '/') : NULL;
    return xstrdup(slash ? slash + 1 : "");
}

int verb_apps_create(struct cli *cli, struct err *err)
{
    _cleanup_free_ char *name = cli->n_args ? xstrdup(cli->args[0]) : name_of_folder();
    json_auto_t *body = json_pack("{s:s}", "name", name), *app = NULL;
    if (!body)
        return err_set(err, ERR_USAGE, "the name is not UTF-8");
    int r = api_call(cli, "POST", "/v1/apps", body, &app, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *url = field_text(app, "url");
    if (given(cli, OPT_JSON))
        json_print(app);
    else
        printf("Created %s: %s\n", name, url);
    if (given(cli, OPT_NO_REMOTE) || !checkout_is_one("."))
        return 0;
    r = remote_adopt(cli, app, err);
    return r < 0 ? err_wrap(err, "the app %s is there, but not its git remote", name) : 0;
}

static const char *first_arg(const struct cli *cli) { return cli->n_args ? cli->args[0] : NULL; }

int verb_apps_show(struct cli *cli, struct err *err)
{
    static const struct column lines[] = {
        {"Name", "name", COLUMN_TEXT},
        {"URL", "url", COLUMN_TEXT},
        {"Git", "git_url", COLUMN_TEXT},
        {"Owner", "owner", COLUMN_TEXT},
        {"Created", "created", COLUMN_WHEN},
        {"Branch", "branch", COLUMN_TEXT},
        {"Release", "release", COLUMN_RELEASE},
        {"Formation", "formation", COLUMN_TEXT},
        {"Instances", "instances", COLUMN_NUMBER},
        {"Ready", "ready", COLUMN_NUMBER},
        {"Maintenance", "maintenance", COLUMN_TEXT},
        {"Domains", "domains", COLUMN_TEXT},
        {0},
    };
    const char *app;
    json_auto_t *doc = NULL;
    int r = cli_app(cli, first_arg(cli), &app, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *path = api_path("/v1/apps/%", app);
    if ((r = api_call(cli, "GET", path, NULL, &doc, err)) == 0)
        fields_print(cli, doc, lines);
    return r;
}

/* A desktop's browser; whether there is one shows when it starts. */
static void open_in_browser(const char *url)
{
    if (!isatty(STDOUT_FILENO) || !(getenv("DISPLAY") || getenv("WAYLAND_DISPLAY")))
        return;
    struct spawn s = {.argv = (const char *const[]){"xdg-open", url, NULL},
                      .fds = {-1, -1, -1},
                      .new_session = true};
    struct err ignored;
    spawn_start(&s, &ignored);
}

int verb_open(struct cli *cli, struct err *err)
{
    const char *app;
    json_auto_t *doc = NULL;
    int r = cli_app(cli, first_arg(cli), &app, err);
    if (r < 0 || (r = app_call(cli, "GET", "/v1/apps/%", NULL, &doc, err)) < 0)
        return r;
    _cleanup_free_ char *url = field_text(doc, "url");
    if (given(cli, OPT_JSON)) {
        json_auto_t *answer = json_pack("{s:s}", "url", url);
        json_print(answer);
        return 0;
    }
    if (!*url) {
        err_set(err, ERR_UNPROCESSABLE, "%s has no web process: it is not reachable by HTTP", app);
        return err_hint(err, "davit ps -a %s lists what runs", app);
    }
    puts(url);
    open_in_browser(url);
    return 0;
}

static int confirm(const struct cli *cli, const char *app, struct err *err)
{
    char line[256] = "";
    const char *said = cli->values[OPT_CONFIRM];
    if (!said && isatty(STDIN_FILENO)) {
        fprintf(
            stderr,
            "This destroys %s, its repository, releases, config and logs. Type its name: ", app);
        said = fgets(line, sizeof(line), stdin) ? line : "";
        line[strcspn(line, "\n")] = '\0';
    }
    if (said && streq(said, app))
        return 0;
    err_set(err, ERR_USAGE, "%s was not destroyed: its name must be confirmed", app);
    return err_hint(err, "davit apps destroy %s --confirm %s", app, app);
}

int verb_apps_destroy(struct cli *cli, struct err *err)
{
    const char *app;
    int r = cli_app(cli, first_arg(cli), &app, err);
    if (r < 0 || (r = confirm(cli, app, err)) < 0)
        return r;
    _cleanup_free_ char *path = api_path("/v1/apps/%", app);
    _cleanup_free_ char *what = xasprintf("destroying %s", app);
    r = api_follow(cli, "DELETE", path, 0, NULL, NULL, what, err);
    if (r == 0 && !given(cli, OPT_JSON))
        printf("Destroyed %s\n", app);
    return r;
}
