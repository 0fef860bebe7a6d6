/* git's pre-receive hook: a tiny client of the API. It runs inside every push, while git holds the
 * new objects in quarantine: what it refuses was never there.
 *
 * Environment, from api: DAVIT_SOCKET, DAVIT_APP, DAVIT_USER and DAVIT_FROM (who pushes, from
 * where), DAVIT_BRANCH ("" before the first push), DAVIT_SHALLOW (commits where the pusher's
 * history is cut off), DAVIT_ATOMIC ("" if refs may move one without the other); from git:
 * GIT_QUARANTINE_PATH. The current folder is the repository. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>

#include "git/hook/answer.h"
#include "git/hook/refs.h"
#include "git/hook/sync.h"
#include "git/hook/tar.h"
#include "git/hook/turn.h"
#include "os/file.h"
#include "os/spawn.h"
#include "os/unix.h"

enum { PIECE = 64 * 1024, STDIN_MAX = 8 << 20 };

/* git puts "remote: " before each line. */
static void tell(struct str text)
{
    struct err err;
    fd_write_all(STDOUT_FILENO, text.ptr, text.len, &err);
}

static int complain(const struct err *err)
{
    _cleanup_(buf_release) struct buf b = BUF_INIT;
    buf_addf(&b, " !     Push rejected, %s\n", err->msg);
    if (err->hint[0])
        buf_addf(&b, " !     %s\n", err->hint);
    tell(buf_str(&b));
    return 1;
}

static int read_refs(struct buf *ret, struct err *err)
{
    char piece[4096];
    ssize_t n;
    while ((n = TEMP_FAILURE_RETRY(read(STDIN_FILENO, piece, sizeof(piece)))) > 0)
        buf_add(ret, piece, (size_t)n);
    return n < 0 ? err_errno(err, "reading what git says") : buf_check(ret, "the push", err);
}

static const char *setting(const char *name)
{
    const char *value = getenv(name);
    return value ? value : "";
}

/* Only unreserved characters stay as they are (RFC 3986 §2.3). */
static void add_escaped(struct buf *b, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            strchr("-._~", c))
            buf_addc(b, (char)c);
        else
            buf_addf(b, "%%%02X", c);
    }
}

static int send_head(int api, const struct decision *d, struct err *err)
{
    _cleanup_(buf_release) struct buf b = BUF_INIT;
    buf_addf(&b, "POST /v1/apps/%s/builds?commit=%s&branch=", setting("DAVIT_APP"), d->commit);
    add_escaped(&b, d->branch);
    buf_addf(&b,
             " HTTP/1.1\r\nHost: davit\r\nContent-Type: application/x-tar\r\n"
             "Accept: text/plain\r\nDavit-On-Behalf-Of: %s\r\n"
             "X-Forwarded-For: %s\r\nTransfer-Encoding: chunked\r\n\r\n",
             setting("DAVIT_USER"), setting("DAVIT_FROM"));
    return fd_write_all(api, b.ptr, b.len, err);
}

static pid_t start_archive(const char *commit, int *ret_out, struct err *err)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_errno(err, "making a pipe");
    fcntl(fds[0], F_SETPIPE_SZ, PIECE * 4); /* fewer switches; an older size does too */
    struct spawn s = {
        .argv = (const char *const[]){"git", "archive", "--format=tar", "--", commit, NULL},
        .fds = {-1, fds[1], STDERR_FILENO}};
    pid_t pid = spawn_start(&s, err);
    close(fds[1]);
    if (pid < 0)
        close(fds[0]);
    else
        *ret_out = fds[0];
    return pid;
}

static int refuse_submodule(const char *path, struct err *err)
{
    err_set(err, ERR_UNPROCESSABLE, "'%s' is a submodule, and submodules are not fetched", path);
    return err_hint(err, "Commit its files instead: git rm --cached %s && git add %s/", path, path);
}

/* One chunk: its length in hex, the bytes, a line end. */
static int send_chunk(int api, char *piece, size_t n, struct err *err)
{
    char head[24];
    int len = snprintf(head, sizeof(head), "%zx\r\n", n);
    int r = fd_write_all(api, head, (size_t)len, err);
    if (r == 0)
        r = fd_write_all(api, piece, n, err);
    return r < 0 ? r : fd_write_all(api, "\r\n", 2, err);
}

/* False when the API answered before it had everything: it says why. */
static bool still_wanted(int api)
{
    struct pollfd p = {.fd = api, .events = POLLIN};
    return poll(&p, 1, 0) == 0;
}

static int send_tree(int api, int tar, struct err *err)
{
    _cleanup_(tar_scan_release) struct tar_scan scan = {0};
    _cleanup_free_ char *piece = xmalloc(PIECE);
    ssize_t n;
    int r = 0;
    while (r == 0 && (n = TEMP_FAILURE_RETRY(read(tar, piece, PIECE))) > 0) {
        tar_scan(&scan, piece, (size_t)n);
        if (scan.submodule)
            return refuse_submodule(scan.submodule, err);
        if (!still_wanted(api))
            return 0;
        r = send_chunk(api, piece, (size_t)n, err);
    }
    tar_scan_end(&scan);
    if (scan.submodule)
        return refuse_submodule(scan.submodule, err);
    return r;
}

/* git archive runs from the start, so that it has something by the time the API listens. */
static int send_archive(int api, int tar, pid_t archive, struct err *err)
{
    int r = send_tree(api, tar, err);
    close(tar); /* one that we didn't read to its end ends by SIGPIPE */
    int status = spawn_wait(archive);
    if (r == 0 && status && status != 128 + SIGPIPE)
        return err_set(err, ERR_INTERNAL, "git archive ended with status %d", status);
    /* Without the last chunk the API throws away what it got. */
    return r < 0 ? r : fd_write_all(api, "0\r\n\r\n", 5, err);
}

/* An error of the API as text: what is wrong, and on the next line what to do. */
static int refused(struct str text, struct err *err)
{
    struct str message = str_cut(&text, '\n');
    err_set(err, ERR_UNPROCESSABLE, "%.*s", (int)message.len, message.ptr);
    return err_hint(err, "%.*s", (int)str_trim(text).len, str_trim(text).ptr);
}

/* Relays the build's output to its end; 0 only for one that succeeded. */
static int relay(int api, int turn, bool *ret_succeeded, struct err *err)
{
    struct answer a;
    char piece[16 * 1024];
    _cleanup_(buf_release) struct buf body = BUF_INIT;
    bool noted = false;
    int r = 0;
    answer_init(&a);
    while (r == 0 && a.state != ANSWER_DONE) {
        ssize_t n = TEMP_FAILURE_RETRY(read(api, piece, sizeof(piece)));
        if (n <= 0)
            r = err_set(err, ERR_UNAVAILABLE, "Davit hung up; the build is cancelled");
        else
            r = answer_feed(&a, piece, (size_t)n, &body, err);
        if (*a.build && !noted) {
            turn_note(turn, a.build, setting("DAVIT_USER"));
            noted = true;
        }
        if (r == 0 && a.status == 200) {
            tell(buf_str(&body));
            buf_reset(&body);
        }
    }
    if (r == 0 && a.status != 200)
        r = refused(buf_str(&body), err);
    *ret_succeeded = streq(a.result, "succeeded");
    answer_release(&a);
    return r;
}

/* Where the pusher's history ends, ours must go on: the commit is part of a ref we have. git would
 * find that out too, but only after the deploy. Asked without what was just pushed: of a commit
 * whose parents are missing git 2.47 says that every ref contains it. */
static int check_shallow(struct err *err)
{
    struct str rest = str_trim(str_of(setting("DAVIT_SHALLOW")));
    while (rest.len) {
        struct str cut = str_cut(&rest, ' ');
        _cleanup_free_ char *contains = xasprintf("--contains=%.*s", (int)cut.len, cut.ptr);
        _cleanup_(buf_release) struct buf refs = BUF_CAP(4096);
        struct err ignored; /* a commit we don't have is an error for git, and the answer for us */
        const char *const argv[] = {"env",
                                    "-u",
                                    "GIT_OBJECT_DIRECTORY",
                                    "-u",
                                    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
                                    "git",
                                    "for-each-ref",
                                    "--count=1",
                                    contains,
                                    NULL};
        spawn_run(argv, (struct str){0}, &refs, &ignored);
        if (refs.len)
            continue;
        err_set(err, ERR_UNPROCESSABLE, "it comes from a shallow clone, which lacks history");
        return err_hint(err, "Get the rest, then push again: git fetch --unshallow");
    }
    return 0;
}

static int push(const struct decision *d, int turn, bool *ret_succeeded, struct err *err)
{
    int tar = -1;
    pid_t archive = start_archive(d->commit, &tar, err);
    if (archive < 0)
        return archive;
    _cleanup_close_ int api = unix_connect(setting("DAVIT_SOCKET"), err);
    int r = api < 0 ? api : send_head(api, d, err);
    if (r < 0)
        return r; /* our end ends git archive too */
    r = send_archive(api, tar, archive, err);
    if (r == -ERR_UNPROCESSABLE || r == -ERR_INTERNAL)
        return r; /* ours; anything else is better explained by the answer */
    return relay(api, turn, ret_succeeded, err);
}

static int refuse_moved(const struct decision *d, const char *now, bool lacks, struct err *err)
{
    err_set(err, ERR_CONFLICT, "another push has moved '%s' to %.7s meanwhile%s", d->branch,
            now ? now : "nowhere", lacks ? ", which this one lacks" : "");
    return err_hint(err, "Fetch first, then push again: git pull davit %s", d->branch);
}

/* Within our turn: is the branch still where the pusher saw it, or at what this push contains (then
 * land.h moves it on), or even at this very commit? */
static int check_branch(const struct decision *d, bool *ret_there, struct err *err)
{
    _cleanup_free_ char *ref = xasprintf("refs/heads/%s", d->branch), *now = turn_ref(ref);
    if (turn_is_unmoved(now, d->old))
        return 0;
    bool lacks = !now || !turn_contains(d->commit, now); /* a commit contains itself */
    if (lacks || (d->several && *setting("DAVIT_ATOMIC")))
        return refuse_moved(d, now, lacks, err);
    *ret_there = streq(now, d->commit);
    _cleanup_free_ char *words = xasprintf(
        "       Another push has %s %.7s meanwhile, which this one %s\n",
        *ret_there ? "deployed" : "moved the branch to", now, *ret_there ? "is" : "contains");
    tell(str_of(words));
    return 0;
}

/* What git has taken in is brought to disk while the build runs. */
static int deploy(const struct decision *d, bool *ret_succeeded, struct err *err)
{
    bool there = false;
    _cleanup_close_ int turn = turn_take(tell, err);
    int r = turn < 0 ? turn : check_branch(d, &there, err);
    pid_t syncing = r < 0 ? r : sync_tree_start(setting("GIT_QUARANTINE_PATH"), err);
    if (syncing < 0)
        return syncing;
    r = there ? 0 : push(d, turn, ret_succeeded, err);
    int s = sync_tree_end(syncing, r < 0 ? NULL : err);
    return r < 0 ? r : s;
}

int main(void)
{
    struct err err;
    bool succeeded = true;
    _cleanup_(buf_release) struct buf lines = BUF_CAP(STDIN_MAX);
    _cleanup_(decision_release) struct decision d = {0};
    signal(SIGPIPE, SIG_IGN);
    if (read_refs(&lines, &err) < 0 ||
        decide(buf_str(&lines), setting("DAVIT_BRANCH"), &d, &err) < 0)
        return complain(&err);
    tell(buf_str(&d.words));
    if (!d.accept)
        return 1;
    if (check_shallow(&err) < 0)
        return complain(&err);
    if (d.commit && deploy(&d, &succeeded, &err) < 0)
        return complain(&err);
    return succeeded ? 0 : 1;
}
