#include "os/port.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>

#include "os/file.h"

enum { TABLE_MAX = 64 << 20, LISTENING = 10 /* TCP_LISTEN in the kernel's tables */ };

/* A line of /proc/net/tcp: "sl: LOCAL:PORT REMOTE:PORT STATE queues timer retransmits uid timeout
 * inode", addresses as 32-bit words of network order in hex. */
struct listener {
    char address[33];
    unsigned port, state, uid;
    unsigned long inode;
};

static bool parse(struct str line, struct listener *ret)
{
    _cleanup_free_ char *text = xstrndup(line.ptr, line.len);
    return sscanf(text, " %*u: %32[0-9A-F]:%x %*[0-9A-F]:%*x %x %*x:%*x %*x:%*x %*x %u %*u %lu",
                  ret->address, &ret->port, &ret->state, &ret->uid, &ret->inode) == 5;
}

/* An address that is one of the four or of the sixteen bytes, as the kernel writes it; all zeros
 * for any other. */
static void hex_of(const char *address, char ret[33])
{
    uint32_t words[4] = {0};
    size_t n = inet_pton(AF_INET6, address, words) == 1 ? 4 : 1;
    if (n == 1)
        inet_pton(AF_INET, address, words);
    for (size_t i = 0; i < n; i++)
        snprintf(ret + 8 * i, 9, "%08X", words[i]);
}

static bool is_any(const char *hex) { return !hex[strspn(hex, "0")]; }

/* One that listens on all addresses stands in the way of all, of both families. */
static bool in_the_way(const struct listener *l, const char *hex, int64_t port)
{
    return l->state == LISTENING && l->port == port &&
           (is_any(l->address) || is_any(hex) || streq(l->address, hex));
}

static bool find(const char *table, const char *hex, int64_t port, struct listener *ret)
{
    _cleanup_(buf_release) struct buf text = BUF_CAP(TABLE_MAX);
    if (file_read(table, &text, NULL) < 0)
        return false;
    struct str rest = buf_str(&text);
    while (rest.len) {
        if (parse(str_cut(&rest, '\n'), ret) && in_the_way(ret, hex, port))
            return true;
    }
    return false;
}

static bool holds(const char *pid, unsigned long inode)
{
    _cleanup_free_ char *dir = xasprintf("/proc/%s/fd", pid);
    DIR *d = opendir(dir);
    const struct dirent *e;
    struct stat st;
    bool found = false;
    while (d && !found && (e = readdir(d)))
        found = !fstatat(dirfd(d), e->d_name, &st, 0) && S_ISSOCK(st.st_mode) && st.st_ino == inode;
    if (d)
        closedir(d);
    return found;
}

static void find_process(unsigned long inode, struct port_holder *ret)
{
    DIR *d = opendir("/proc");
    const struct dirent *e;
    while (d && !ret->pid && (e = readdir(d))) {
        uint64_t pid;
        if (str_to_u64(str_of(e->d_name), 1, INT32_MAX, &pid, NULL) == 0 && holds(e->d_name, inode))
            ret->pid = (pid_t)pid;
    }
    if (d)
        closedir(d);
    if (!ret->pid)
        return;
    _cleanup_free_ char *path = xasprintf("/proc/%d/comm", (int)ret->pid);
    _cleanup_(buf_release) struct buf name = BUF_CAP(64);
    file_read(path, &name, NULL);
    struct str s = str_trim(buf_str(&name));
    snprintf(ret->name, sizeof(ret->name), "%.*s", (int)s.len, s.ptr);
}

bool port_holder(const char *address, int64_t port, struct port_holder *ret)
{
    char hex[33] = "";
    struct listener l;
    hex_of(address, hex);
    if (!find("/proc/net/tcp", hex, port, &l) && !find("/proc/net/tcp6", hex, port, &l))
        return false;
    *ret = (struct port_holder){.uid = l.uid};
    find_process(l.inode, ret);
    return true;
}

char *port_holder_text(const struct port_holder *h)
{
    if (h->pid)
        return xasprintf("%s (pid %d)", h->name, (int)h->pid);
    const struct passwd *p = getpwuid(h->uid);
    return p ? xasprintf("a program of user %s", p->pw_name)
             : xasprintf("a program of user %u", (unsigned)h->uid);
}
