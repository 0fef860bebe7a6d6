#include "base/visible.h"

/* The UTF-8 character at p (RFC 3629 §4): its length, 0 for none, -1 if it has no end yet. */
static int decode(const unsigned char *p, size_t n, unsigned *ret)
{
    static const struct {
        unsigned char first, last, low, high; /* of the first byte, and of the second */
        int len;
    } rows[] = {
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
    size_t row = 0;
    while (row < ARRAY_LEN(rows) && (p[0] < rows[row].first || p[0] > rows[row].last))
        row++;
    if (row == ARRAY_LEN(rows))
        return 0;
    int len = rows[row].len;
    *ret = len == 1 ? p[0] : p[0] & (0xffu >> (len + 1));
    for (int i = 1; i < len; i++) {
        if ((size_t)i == n)
            return -1;
        if (p[i] < (i == 1 ? rows[row].low : 0x80) || p[i] > (i == 1 ? rows[row].high : 0xbf))
            return 0;
        *ret = *ret << 6 | (p[i] & 0x3f);
    }
    return len;
}

static bool acts(unsigned c)
{
    return (c < ' ' && c != '\n' && c != '\t') || (c >= 0x7f && c <= 0x9f) || c == 0x061c ||
           c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069);
}

/* What may stay though it begins with a control character: a line end of two bytes, a colour. Its
 * length, 0 for none, -1 if it has no end yet. */
static int tolerated(const char *p, size_t n, unsigned flags)
{
    size_t len = 1;
    if (*p == '\r')
        return n < 2 ? -1 : p[1] == '\n' ? 2 : 0;
    if (*p != '\033' || !(flags & VISIBLE_COLOURS))
        return 0;
    if (n > 1 && p[1] != '[')
        return 0;
    for (len = 2; len < n && len < VISIBLE_UNFINISHED - 2; len++)
        if (!strchr("0123456789;:", p[len]) || !p[len])
            return p[len] == 'm' ? (int)len + 1 : 0;
    return len < VISIBLE_UNFINISHED - 2 ? -1 : 0;
}

size_t visible_add(struct buf *ret, struct str s, unsigned flags)
{
    size_t i = 0, plain = 0; /* from `plain` on nothing was added yet */
    while (i < s.len) {
        unsigned c = 0;
        int len = decode((const unsigned char *)s.ptr + i, s.len - i, &c);
        bool spelled = len <= 0 || acts(c);
        int kept = len == 1 && spelled ? tolerated(s.ptr + i, s.len - i, flags) : 0;
        if ((len < 0 || kept < 0) && (flags & VISIBLE_MORE))
            break;
        if (!spelled || kept > 0) {
            i += (size_t)(kept > 0 ? kept : len);
            continue;
        }
        buf_add(ret, s.ptr + plain, i - plain);
        if (len > 0)
            buf_addf(ret, "\\u%04x", c);
        else
            buf_addf(ret, "\\x%02x", (unsigned char)s.ptr[i]);
        i += (size_t)MAX(len, 1);
        plain = i;
    }
    buf_add(ret, s.ptr + plain, i - plain);
    return i;
}
