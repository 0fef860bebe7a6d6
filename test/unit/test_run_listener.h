/* For tests of who listens where. */
#ifndef TEST_RUN_LISTENER_H
#define TEST_RUN_LISTENER_H

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

/* A socket that listens there; ends the process if that can't be. */
static inline int listener(const char *address, uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, address, &a.sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 16) < 0)
        _exit(1);
    return fd;
}

#endif
