#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/checkout.h"
#include "cli/client.h"
#include "cli/source.h"
#include "wire/url.h"

/* Paths are given as the user sees them, but read by the platform. A name without a transport is a
 * registry's. */
static char *image_reference(const char *text)
{
    static const char *const files[] = {"oci:", "oci-archive:", "docker-archive:", "dir:"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        size_t n = strlen(files[i]);
        char absolute[PATH_MAX];
        if (strncmp(text, files[i], n) != 0)
            continue;
        const char *tag = strchr(text + n, ':');
        _cleanup_free_ char *path =
            tag ? xstrndup(text + n, (size_t)(tag - text) - n) : xstrdup(text + n);
        return realpath(path, absolute) ? xasprintf("%s%s%s", files[i], absolute, tag ? tag : "")
                                        : xstrdup(text);
    }
    return strstr(text, "://") ? xstrdup(text) : xasprintf("docker://%s", text);
}

static void add_query(struct buf *path, const char *name, const char *value)
{
    if (!value || !*value)
        return;
    buf_addf(path, "%c%s=", memchr(path->ptr, '?', path->len) ? '&' : '?', name);
    url_add_component(path, str_of(value));
}

static int build(struct cli *cli, const struct buf *path, int fd, struct err *err)
{
    _cleanup_free_ char *what = xasprintf("deploying %s", cli->app);
    return api_follow(cli, "POST", path->ptr, fd, NULL, NULL, what, err);
}

static int deploy_image(struct cli *cli, struct buf *path, struct err *err)
{
    _cleanup_free_ char *image = image_reference(cli->values[OPT_IMAGE]);
    add_query(path, "image", image);
    return build(cli, path, 0, err);
}

static int deploy_archive(struct cli *cli, struct buf *path, struct err *err)
{
    const char *name = cli->values[OPT_ARCHIVE];
    _cleanup_close_ int fd = streq(name, "-") ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                                              : open(name, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_errno(err, "%s", name);
    if (S_ISDIR(st.st_mode)) {
        err_set(err, ERR_USAGE, "%s is a folder", name);
        return err_hint(err, "deploy it: davit deploy %s", name);
    }
    return build(cli, path, fd, err);
}

static int deploy_folder(struct cli *cli, struct buf *path, struct err *err)
{
    const char *dir = cli->n_args ? cli->args[0] : ".";
    _cleanup_free_ char *commit = checkout_clean_commit(dir);
    add_query(path, "commit", commit);
    _cleanup_(source_close) struct source source = SOURCE_INIT;
    int r = source_open(dir, &source, err);
    if (r < 0)
        return r;
    /* After a failure nobody reads what tar has left: waiting for it would be forever. */
    r = build(cli, path, source.fd, err);
    return r < 0 ? r : source_finish(&source, err);
}

int verb_deploy(struct cli *cli, struct err *err)
{
    const char *app;
    int r = cli_app(cli, NULL, &app, err);
    if (r < 0)
        return r;
    if ((given(cli, OPT_IMAGE) + given(cli, OPT_ARCHIVE) + (cli->n_args > 0)) > 1)
        return err_set(err, ERR_USAGE, "deploy a folder, or --archive, or --image: one of them");
    _cleanup_free_ char *plain = api_path("/v1/apps/%/builds", app);
    _cleanup_(buf_release) struct buf path = BUF_INIT;
    buf_adds(&path, plain);
    if (given(cli, OPT_IMAGE))
        return deploy_image(cli, &path, err);
    return given(cli, OPT_ARCHIVE) ? deploy_archive(cli, &path, err)
                                   : deploy_folder(cli, &path, err);
}
