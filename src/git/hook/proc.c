/* git's proc-receive hook, githooks(5): runs after pre-receive, when the objects are in the
 * repository, still within the push's turn. Lists of pkt-lines: git's version, ours, the commands,
 * our answers. */
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>

#include "git/hook/land.h"
#include "os/file.h"

enum { PACKET_MAX = 65535, ANSWER_MAX = 16 << 20 };

/* The next line of a list; false at its end. */
static bool read_packet(struct buf *line)
{
    static char text[PACKET_MAX];
    char digits[5] = "";
    buf_reset(line);
    if (fread(digits, 1, 4, stdin) != 4)
        return false;
    size_t n = strtoul(digits, NULL, 16);
    if (n <= 4 || fread(text, 1, n - 4, stdin) != n - 4)
        return false;
    buf_add(line, text, n - 4);
    return true;
}

static int answer(struct buf *lines)
{
    buf_adds(lines, "0000");
    int r = lines->overflow ? -1 : fd_write_all(STDOUT_FILENO, lines->ptr, lines->len, NULL);
    buf_reset(lines);
    return r;
}

int main(void)
{
    _cleanup_(buf_release) struct buf line = BUF_CAP(PACKET_MAX), answers = BUF_CAP(ANSWER_MAX);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* with git, the turn ends */
    while (read_packet(&line))
        ;
    packet_add(&answers, "version=1\n");
    if (answer(&answers) < 0)
        return 1;
    while (read_packet(&line))
        land(buf_str(&line), &answers);
    return answer(&answers) < 0;
}
