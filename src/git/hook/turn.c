#include "git/hook/turn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/syscall.h>

#include "os/file.h"
#include "os/spawn.h"

static void tell_waiting(int fd, void (*tell)(struct str words))
{
    char note[256];
    _cleanup_(buf_release) struct buf words = BUF_INIT;
    ssize_t n = pread(fd, note, sizeof(note), 0);
    struct str user = str_trim((struct str){note, n > 0 ? (size_t)n : 0}),
               build = str_cut(&user, ' ');
    if (build.len && user.len)
        buf_addf(&words, "-----> Waiting for build %.*s of %.*s to finish\n", (int)build.len,
                 build.ptr, (int)user.len, user.ptr);
    else
        buf_adds(&words, "-----> Waiting for another push to finish\n");
    tell(buf_str(&words));
}

/* The lock belongs to the open file: it lasts until the last process that has it open is gone. This
 * one goes with git, and holds nothing else that git might wait for. */
static int keep_until_git_ends(struct err *err)
{
    pid_t git = getppid();
    _cleanup_close_ int gits = (int)syscall(SYS_pidfd_open, git, 0);
    _cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    pid_t pid = gits < 0 || null < 0 || getppid() != git ? -1 : fork();
    if (pid < 0)
        return err_errno(err, "waiting for git's end");
    if (pid > 0)
        return 0;
    for (int fd = 0; fd <= 2; fd++)
        dup2(null, fd);
    struct pollfd p = {.fd = gits, .events = POLLIN};
    while (poll(&p, 1, -1) < 0 && errno == EINTR)
        ;
    _exit(0);
}

int turn_take(void (*tell)(struct str words), struct err *err)
{
    _cleanup_close_ int fd = open("davit.turn", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int r = fd < 0 ? -1 : flock(fd, LOCK_EX | LOCK_NB);
    if (fd >= 0 && r < 0 && errno == EWOULDBLOCK) {
        tell_waiting(fd, tell);
        r = (int)TEMP_FAILURE_RETRY(flock(fd, LOCK_EX));
    }
    if (r < 0 || ftruncate(fd, 0) < 0)
        return err_errno(err, "waiting for other pushes");
    r = keep_until_git_ends(err);
    return r < 0 ? r : TAKE_FD(fd);
}

void turn_note(int turn, const char *build, const char *user)
{
    _cleanup_free_ char *note = xasprintf("%s %s\n", build, user);
    if (pwrite(turn, note, strlen(note), 0) < 0)
        return; /* then those who wait are told less */
}

/* Lines "OID REF"; those of tags are followed by "^OID". */
static char *packed_ref(const char *ref)
{
    _cleanup_(buf_release) struct buf packed = BUF_CAP((size_t)64 << 20);
    if (file_read("packed-refs", &packed, NULL) < 0)
        return NULL;
    struct str rest = buf_str(&packed);
    while (rest.len) {
        struct str name = str_cut(&rest, '\n'), oid = str_cut(&name, ' ');
        if (str_eq(name, str_of(ref)))
            return xstrndup(oid.ptr, oid.len);
    }
    return NULL;
}

char *turn_ref(const char *ref)
{
    _cleanup_(buf_release) struct buf loose = BUF_CAP(4096);
    if (file_read(ref, &loose, NULL) < 0)
        return packed_ref(ref);
    struct str oid = str_trim(buf_str(&loose));
    return xstrndup(oid.ptr, oid.len);
}

bool turn_is_unmoved(const char *now, const char *old)
{
    return now ? streq(now, old) : old[strspn(old, "0")] == '\0';
}

bool turn_contains(const char *commit, const char *now)
{
    struct err ignored;
    const char *const argv[] = {"git", "merge-base", "--is-ancestor", "--", now, commit, NULL};
    return spawn_run(argv, (struct str){0}, NULL, &ignored) == 0;
}
