#include "cli/base64.h"

#include <ctype.h>

static int digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

bool base64_decode(struct str text, struct buf *ret)
{
    unsigned bits = 0, have = 0, digits = 0, padding = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (isspace((unsigned char)c))
            continue;
        digits++;
        if (c == '=') {
            padding++;
            continue;
        }
        int d = digit(c);
        if (d < 0 || padding)
            return false;
        bits = (bits << 6 | (unsigned)d) & 0xffffff;
        have += 6;
        if (have >= 8) {
            have -= 8;
            buf_addc(ret, (char)(bits >> have & 0xff));
        }
    }
    return digits % 4 == 0 && padding <= 2;
}
