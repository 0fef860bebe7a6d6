/* A web server in a hundred lines: one connection at a time is enough to say hello. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int listen_on(int port)
{
    int one = 1, s = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (s < 0 || bind(s, (struct sockaddr *)&any, sizeof(any)) < 0 || listen(s, 128) < 0) {
        perror("listen");
        exit(1);
    }
    return s;
}

static void answer(int connection)
{
    static const char body[] = "Hello from a Dockerfile\n";
    char request[8192];
    if (read(connection, request, sizeof(request)) <= 0)
        return;
    dprintf(connection,
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
            strlen(body), body);
}

static void on_term(int signal)
{
    (void)signal;
    _exit(0);
}

int main(void)
{
    const char *port = getenv("PORT");
    int s = listen_on(port ? atoi(port) : 8000);
    signal(SIGTERM, on_term);
    signal(SIGPIPE, SIG_IGN);
    printf("listening on port %s\n", port ? port : "8000");
    fflush(stdout);
    for (;;) {
        int connection = accept(s, NULL, NULL);
        if (connection < 0)
            continue;
        answer(connection);
        close(connection);
    }
}
