#include "git/shallow.h"

#define WORD "shallow "
enum { LENGTH = 4 }; /* hex digits before each line; they count themselves */

/* 0 for what isn't one; 0000 is the end of a list. */
static size_t line_length(const char *digits)
{
    _cleanup_free_ char *text = xstrndup(digits, LENGTH);
    char *end;
    unsigned long n = strtoul(text, &end, 16);
    return end == text + LENGTH ? n : 0;
}

bool shallow_read(struct str body, struct buf *ret)
{
    static const size_t head = LENGTH + sizeof(WORD) - 1;
    buf_reset(ret);
    while (body.len >= head) {
        size_t n = line_length(body.ptr);
        if (n < head || memcmp(body.ptr + LENGTH, WORD, head - LENGTH) != 0)
            return true;
        if (n > body.len)
            return false;
        struct str commit = str_trim((struct str){body.ptr + head, n - head});
        buf_add(ret, commit.ptr, commit.len);
        buf_addc(ret, ' ');
        body = (struct str){body.ptr + n, body.len - n};
    }
    return body.len >= LENGTH && line_length(body.ptr) < head;
}
