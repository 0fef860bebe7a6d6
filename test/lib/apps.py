"""Small apps for the tests. They need nothing but what the stacks hold."""

INDEX = {"index.html": "hello\n"}


def static(text):
    return {"index.html": text}


# A C web app: buildable without any registry, quick to start. It answers with version.txt.
WEB_C = r"""
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
{
    char version[256] = "", request[4096], answer[512];
    FILE *f = fopen("version.txt", "r");
    int n = f ? (int)fread(version, 1, sizeof(version) - 1, f) : 0, one = 1;
    int s = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(getenv(PORT_NAME))),
                            .sin_addr.s_addr = inet_addr(ADDRESS)};
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (IGNORE_TERM)
        signal(SIGTERM, SIG_IGN);
    if (bind(s, (void *)&a, sizeof(a)) || listen(s, 128))
        return perror("listen"), 1;
    printf("listening, version %s\n", version);
    for (;;) {
        int c = accept(s, NULL, NULL);
        if (read(c, request, sizeof(request)) > 0) {
            usleep(DELAY_US);
            int m = snprintf(answer, sizeof(answer), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n"
                             "Connection: close\r\n\r\n%s", n, version);
            write(c, answer, m);
        }
        close(c);
    }
}
"""


def web(version="one", port='"PORT"', address='"0.0.0.0"', ignore_term=0, delay_us=0, **more):
    make = (f"all: web.c\n\tcc -O1 -DPORT_NAME='{port}' -DADDRESS='{address}' -DIGNORE_TERM={ignore_term} "
            f"-DDELAY_US={delay_us} -o web web.c\n")
    return {"web.c": WEB_C, "Makefile": make, "Procfile": "web: ./web\n", "version.txt": version, **more}


def shell(command, **more):
    """An app whose web process is one shell command; the Makefile makes it a C app that needs no compiling."""
    return {"Makefile": "all:\n\ttrue\n", "Procfile": f"web: {command}\n", **more}


def make(script):
    """A C app whose Makefile runs a shell script."""
    return {"Makefile": "all:\n\tsh ./script\n", "script": script, "Procfile": "worker: sleep 1000\n"}
