#include "wire/url.h"

#include <ctype.h>
#include <stdio.h>

static bool unreserved(unsigned char c) { return isalnum(c) || (c && strchr("-._~", c)); }

void url_add_component(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (unreserved((unsigned char)s.ptr[i]))
            buf_addc(b, s.ptr[i]);
        else
            buf_addf(b, "%%%02X", (unsigned char)s.ptr[i]);
}

static struct str until(struct str s, const char *stops)
{
    size_t n = 0;
    while (n < s.len && !strchr(stops, s.ptr[n]))
        n++;
    return (struct str){s.ptr, n};
}

static struct str behind(struct str s, size_t n) { return (struct str){s.ptr + n, s.len - n}; }

int url_split(const char *text, struct url *ret, struct err *err)
{
    struct str rest = str_of(text);
    struct url u = {0};
    const struct str schemes[] = {STR("http"), STR("https")};
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
        if (str_starts(rest, schemes[i]) && str_starts(behind(rest, schemes[i].len), STR("://")))
            u.scheme = schemes[i];
    if (!u.scheme.len)
        return err_set(err, ERR_INVALID, "'%s' is not an http:// or https:// address", text);
    rest = behind(rest, u.scheme.len + 3);
    struct str authority = until(rest, "/?#");
    rest = behind(rest, authority.len);
    const char *at = memrchr(authority.ptr, '@', authority.len);
    u.host = at ? behind(authority, (size_t)(at + 1 - authority.ptr)) : authority;
    if (!u.host.len)
        return err_set(err, ERR_INVALID, "'%s' names no host", text);
    u.path = until(rest, "?#");
    if (u.path.len)
        u.path = behind(u.path, 1);
    *ret = u;
    return 0;
}
