#include "daemon/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "os/file.h"

struct logfile {
    char *path;
    off_t size, max;
    int64_t keep;
    int file, echo; /* echo: -1 none */
    int in, out;    /* the pipe */
};

static int reopen(struct logfile *l)
{
    closep(&l->file);
    l->file = open(l->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
    struct stat st;
    l->size = l->file >= 0 && fstat(l->file, &st) == 0 ? st.st_size : 0;
    return l->file;
}

int logfile_open(const struct config *c, bool echo, struct logfile **ret, struct err *err)
{
    _cleanup_(logfile_freep) struct logfile *l = xcalloc(1, sizeof(*l));
    *l = (struct logfile){.path = path_join(c->log, "davitd.log"),
                          .max = (off_t)c->log_file_max << 20,
                          .keep = c->log_files,
                          .file = -1,
                          .echo = echo ? fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3) : -1,
                          .in = -1,
                          .out = -1};
    int p[2];
    if (reopen(l) < 0 || pipe2(p, O_CLOEXEC) < 0)
        return err_errno(err, "%s", l->path);
    l->in = p[0];
    l->out = p[1];
    fcntl(l->in, F_SETFL, O_NONBLOCK);
    *ret = TAKE_PTR(l);
    return 0;
}

void logfile_free(struct logfile *l)
{
    for (int *fd = (int[]){l->file, l->echo, l->in, l->out, -2}; *fd != -2; fd++)
        closep(fd);
    free(l->path);
    free(l);
}

int logfile_pipe(const struct logfile *l) { return l->out; }
int logfile_fd(const struct logfile *l) { return l->in; }

void logfile_take_stderr(struct logfile *l)
{
    /* Another description of the pipe's end, so that O_NONBLOCK is ours alone: the one who empties
     * the pipe must not wait for room in it. */
    _cleanup_free_ char *self = xasprintf("/proc/self/fd/%d", l->out);
    _cleanup_close_ int end = open(self, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    _cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(end >= 0 ? end : l->file, STDERR_FILENO);
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
}

static void rotate(struct logfile *l)
{
    for (int64_t i = l->keep - 1; i >= 1; i--) {
        _cleanup_free_ char *to = xasprintf("%s.%d", l->path, (int)i);
        _cleanup_free_ char *from =
            i == 1 ? xstrdup(l->path) : xasprintf("%s.%d", l->path, (int)i - 1);
        if (rename(from, to) < 0 && errno != ENOENT)
            return; /* go on in the old file */
    }
    if (l->keep == 1)
        unlink(l->path);
    reopen(l);
}

void logfile_pump(struct logfile *l)
{
    char chunk[16384];
    for (ssize_t n; (n = read(l->in, chunk, sizeof(chunk))) > 0;) {
        /* A full disk costs log lines, never the platform. */
        if (l->file >= 0 && fd_write_all(l->file, chunk, (size_t)n, NULL) == 0)
            l->size += n;
        if (l->echo >= 0)
            fd_write_all(l->echo, chunk, (size_t)n, NULL);
        if (l->size >= l->max && chunk[n - 1] == '\n')
            rotate(l);
    }
}
