#include "daemon/logfile.h"

#include <fcntl.h>

#include "log/file.h"
#include "os/file.h"

struct logfile {
    char *path;
    struct log_file file;
    int echo;    /* -1: none */
    int in, out; /* the pipe */
};

int logfile_open(const struct config *c, bool echo, struct logfile **ret, struct err *err)
{
    _cleanup_(logfile_freep) struct logfile *l = xcalloc(1, sizeof(*l));
    *l = (struct logfile){.path = path_join(c->log, "davitd.log"),
                          .echo = echo ? fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3) : -1,
                          .in = -1,
                          .out = -1};
    int p[2];
    log_file_init(&l->file, l->path, false, c->log_file_max << 20, c->log_files);
    if (!log_file_prepare(&l->file, 0) || pipe2(p, O_CLOEXEC) < 0)
        return err_errno(err, "%s", l->path);
    l->in = p[0];
    l->out = p[1];
    fcntl(l->in, F_SETFL, O_NONBLOCK);
    *ret = TAKE_PTR(l);
    return 0;
}

void logfile_free(struct logfile *l)
{
    for (int *fd = (int[]){l->echo, l->in, l->out, -2}; *fd != -2; fd++)
        closep(fd);
    log_file_release(&l->file);
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
    dup2(end >= 0 ? end : l->file.fd, STDERR_FILENO);
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
}

void logfile_pump(struct logfile *l)
{
    char chunk[16384];
    for (ssize_t n; (n = read(l->in, chunk, sizeof(chunk))) > 0;) {
        /* A full disk costs log lines, never the platform. */
        log_file_write(&l->file, chunk, (size_t)n, NULL);
        if (l->echo >= 0)
            fd_write_all(l->echo, chunk, (size_t)n, NULL);
    }
}
