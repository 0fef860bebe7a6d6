/* Registries, through skopeo. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/pidfd.h>

#include "image/internal.h"
#include "os/file.h"
#include "os/spawn.h"

/* skopeo runs as nobody of image users, whom the rules of builds keep off this machine's own
 * services, wherever a registry's redirects and realms lead. */
enum { LOOK_MS = 100, SAID_MAX = 64 * 1024, AUTH_MAX = 1 << 20, NOBODY = 65534 };

/* Registries on this machine speak plain HTTP, as with Docker. */
static bool is_local_registry(const char *reference)
{
    size_t host = strcspn(reference, ":/");
    return (host == 9 && !strncmp(reference, "localhost", 9)) || !strncmp(reference, "127.", 4);
}

/* skopeo's last line is a log line; what it says stands in msg="…". */
static char *what_skopeo_said(char *line)
{
    char *msg = strstr(line, "msg=\""), *to;
    if (!msg)
        return line;
    msg += 5;
    for (char *from = to = msg; *from && *from != '"'; from++) {
        from += *from == '\\' && from[1];
        *to++ = *from;
    }
    *to = '\0';
    return msg;
}

static int failed(struct image_store *s, struct str said, const char *source, struct err *err)
{
    const char *last = said.len ? memrchr(said.ptr, '\n', said.len) : NULL;
    _cleanup_free_ char *line = last ? xstrndup(last + 1, said.len - (size_t)(last + 1 - said.ptr))
                                     : xstrndup(said.len ? said.ptr : "", said.len);
    const char *msg = what_skopeo_said(line), *registry = source + strlen("docker://");
    if (strstr(msg, "file too large")) /* EFBIG: see registry_fetch */
        return err_set(err, ERR_TOO_LARGE, "a layer is larger than the limit");
    if (strstr(msg, "no space left"))
        return err_set(err, ERR_NO_SPACE, "%s", msg);
    if (strstr(msg, "unauthorized") || strstr(msg, "denied") ||
        strstr(msg, "authentication required")) {
        err_set(err, ERR_FORBIDDEN, "%s", msg);
        return err_hint(err,
                        "If the image is there, the registry wants a password. As root on the "
                        "server: skopeo login --authfile %s %.*s",
                        s->authfile ? s->authfile : "auth.json", (int)strcspn(registry, "/"),
                        registry);
    }
    if (strstr(msg, "unknown") || strstr(msg, "not found"))
        return err_set(err, ERR_NOT_FOUND, "%s", msg);
    err_set(err, ERR_UNAVAILABLE, "%s", msg);
    if (is_local_registry(registry))
        return err_hint(err,
                        "The server's own services are closed to builds. An admin can open "
                        "this one: build_services = %.*s in davit.conf",
                        (int)strcspn(registry, "/"), registry);
    return -ERR_UNAVAILABLE;
}

/* What it says until it closes its end; -ERR_CANCELLED. */
static int listen_to(int from, struct buf *ret, struct err *err)
{
    struct pollfd p = {from, POLLIN, 0};
    for (;;) {
        char chunk[4096];
        int r = image_interrupted(err), n = r < 0 ? 0 : poll(&p, 1, LOOK_MS);
        if (r < 0)
            return r;
        ssize_t got = n > 0 ? read(from, chunk, sizeof(chunk)) : -1;
        if (n > 0 && got == 0)
            return 0;
        if (got > 0)
            buf_add(ret, chunk, (size_t)got);
        else if (n < 0 && errno != EINTR)
            return err_errno(err, "waiting for skopeo");
    }
}

/* It dies with us and when we are interrupted. */
static int run(struct image_store *s, const char *const *argv, int auth, const char *source,
               struct err *err)
{
    int p[2];
    if (pipe2(p, O_CLOEXEC) < 0)
        return err_errno(err, "pipe");
    _cleanup_close_ int from = p[0], to = p[1], pidfd = -1;
    _cleanup_(buf_release) struct buf said = BUF_CAP(SAID_MAX);
    struct err why;
    pid_t pid = spawn_start(&(struct spawn){.argv = argv,
                                            .fds = {-1, -1, to},
                                            .fd3 = auth,
                                            .die_with_parent = true,
                                            .pidfd = &pidfd},
                            &why);
    if (pid < 0)
        return err_set(err, ERR_UNAVAILABLE, "%s", why.msg);
    close(TAKE_FD(to));
    int r = listen_to(from, &said, err);
    if (r < 0)
        pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
    int status = spawn_wait(pid);
    return r || status == 0 ? r : failed(s, str_trim(buf_str(&said)), source, err);
}

/* The passwords are root's file; skopeo gets what is in it as /proc/self/fd/3. 0: there are none.
 */
static int open_auth(const struct image_store *s, int *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_CAP(AUTH_MAX);
    if (!s->authfile || !path_exists(s->authfile))
        return 0;
    int r = file_read(s->authfile, &text, err);
    if (r < 0)
        return r;
    _cleanup_close_ int fd = memfd_create("registries.json", MFD_CLOEXEC);
    if (fd < 0)
        return err_errno(err, "handing over %s", s->authfile);
    if ((r = fd_write_all(fd, text.ptr, text.len, err)) < 0)
        return r;
    *ret = TAKE_FD(fd);
    return 0;
}

int registry_fetch(struct image_store *s, const char *source, const struct unpack_limits *limits,
                   const char *tmp, const char *layout, struct err *err)
{
    uid_t nobody = s->uid_base + NOBODY;
    _cleanup_close_ int auth = -1;
    _cleanup_(strv_release) struct strv argv = {0};
    bool local = is_local_registry(source + strlen("docker://"));
    int r = open_auth(s, &auth, err);
    if (!r && chown(tmp, nobody, nobody) < 0)
        r = err_errno(err, "handing over %s", tmp);
    if (r < 0)
        return r;
    spawn_as(nobody, &argv);
    if (limits && limits->bytes) {
        strv_add(&argv, "prlimit"); /* twice: names of files count in a tar, too */
        strv_addf(&argv, "--fsize=%llu", 2 * (unsigned long long)limits->bytes);
    }
    strv_add(&argv, "skopeo");
    strv_add(&argv, "--insecure-policy"); /* every digest is checked here */
    strv_addf(&argv, "--tmpdir=%s", tmp);
    strv_add(&argv, "copy");
    strv_add(&argv, "--quiet");
    strv_addf(&argv, "--src-tls-verify=%s", local ? "false" : "true");
    if (auth >= 0)
        strv_add(&argv, "--src-authfile=/proc/self/fd/3");
    strv_add(&argv, "--");
    strv_add(&argv, source);
    strv_addf(&argv, "oci:%s:image", layout);
    r = run(s, (const char *const *)strv_argv(&argv), auth < 0 ? 0 : auth, source, err);
    return r == -ERR_TOO_LARGE && limits && limits->hint ? err_hint(err, "%s", limits->hint) : r;
}
