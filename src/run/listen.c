#include "run/listen.h"

#include <stdio.h>

#include "os/file.h"

enum { TCP_STATE_LISTEN = 0x0a };

/* "0100007F" or the 32 digits of IPv6: the bytes in the order of this machine's words. */
static bool parse_address(const char *hex, uint32_t words[4], int *ret_n)
{
    size_t digits = strlen(hex);
    if (digits != 8 && digits != 32)
        return false;
    *ret_n = (int)digits / 8;
    for (int i = 0; i < *ret_n; i++)
        if (sscanf(hex + 8 * i, "%8x", &words[i]) != 1)
            return false;
    return true;
}

enum reach { REACH_NONE, REACH_LOOPBACK, REACH_OTHERS };

static enum reach reach_v4(uint32_t word, uint32_t own)
{
    if (word == 0 || word == own)
        return REACH_OTHERS;
    return (word & __builtin_bswap32(0xff000000)) == __builtin_bswap32(0x7f000000) ? REACH_LOOPBACK
                                                                                   : REACH_NONE;
}

static enum reach reach(const uint32_t words[4], int n, uint32_t own)
{
    if (n == 1)
        return reach_v4(words[0], own);
    if (words[0] || words[1])
        return REACH_NONE;
    if (words[2] == __builtin_bswap32(0x0000ffff)) /* ::ffff:a.b.c.d */
        return reach_v4(words[3], own);
    if (words[2])
        return REACH_NONE;
    return words[3] == 0                      ? REACH_OTHERS
           : words[3] == __builtin_bswap32(1) ? REACH_LOOPBACK
                                              : REACH_NONE;
}

/* "   0: 0100007F:1388 00000000:0000 0A …" */
static void scan_line(const char *line, uint16_t port, uint32_t own, struct listeners *ret)
{
    char hex[33];
    unsigned at, state;
    uint32_t words[4] = {0};
    int n;
    if (sscanf(line, " %*u: %32[0-9A-F]:%4x %*[0-9A-F]:%*4x %2x", hex, &at, &state) != 3 ||
        state != TCP_STATE_LISTEN || !parse_address(hex, words, &n))
        return;
    enum reach r = reach(words, n, own);
    if (at != port && r == REACH_OTHERS && (!ret->other_port || at < ret->other_port))
        ret->other_port = (uint16_t)at;
    if (at == port && r == REACH_OTHERS)
        ret->reachable = true;
    if (at == port && r == REACH_LOOPBACK)
        ret->loopback = true;
}

void listen_scan(struct str table, uint16_t port, uint32_t address, struct listeners *ret)
{
    str_cut(&table, '\n'); /* the heading */
    while (table.ptr) {
        struct str s = str_cut(&table, '\n');
        char line[128];
        size_t len = MIN(s.len, sizeof(line) - 1);
        if (len)
            memcpy(line, s.ptr, len);
        line[len] = '\0';
        scan_line(line, port, address, ret);
    }
}

void listen_look(pid_t pid, uint16_t port, uint32_t address, struct listeners *ret)
{
    *ret = (struct listeners){0};
    for (int v6 = 0; v6 < 2 && !ret->reachable; v6++) {
        _cleanup_(buf_release) struct buf table = BUF_CAP(1 << 20);
        char path[64];
        snprintf(path, sizeof(path), "/proc/%d/net/tcp%s", (int)pid, v6 ? "6" : "");
        if (file_read(path, &table, NULL) == 0)
            listen_scan(buf_str(&table), port, address, ret);
    }
}
