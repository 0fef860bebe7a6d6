#include "os/pidfd.h"

#include <stddef.h>
#include <sys/wait.h>

int pidfd_reap(int pidfd, int *ret_status, int *ret_signal)
{
    siginfo_t info = {0};
    if (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG) < 0)
        return -1;
    if (info.si_pid == 0)
        return 0;
    int sig = info.si_code == CLD_EXITED ? 0 : info.si_status;
    *ret_status = sig ? 128 + sig : info.si_status;
    *ret_signal = sig;
    return 1;
}
