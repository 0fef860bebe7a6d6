#include "base/json.h"

/* Length of the well-formed UTF-8 sequence at p (RFC 3629), 0 if there is none. */
static size_t utf8_len(const unsigned char *p, size_t n)
{
    static const struct {
        unsigned char lead_min, lead_max, second_min, second_max;
        size_t len;
    } forms[] = {
        {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
        {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    if (p[0] < 0x80)
        return 1;
    for (size_t f = 0; f < ARRAY_LEN(forms); f++) {
        if (p[0] < forms[f].lead_min || p[0] > forms[f].lead_max || n < forms[f].len)
            continue;
        if (p[1] < forms[f].second_min || p[1] > forms[f].second_max)
            return 0;
        for (size_t i = 2; i < forms[f].len; i++)
            if ((p[i] & 0xc0) != 0x80)
                return 0;
        return forms[f].len;
    }
    return 0;
}

void json_quote(struct buf *b, struct str s)
{
    static const char short_forms[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    buf_addc(b, '"');
    for (size_t i = 0; i < s.len;) {
        const unsigned char *p = (const unsigned char *)s.ptr + i;
        const char *form = NULL;
        for (size_t k = 0; k + 1 < sizeof(short_forms); k += 2)
            if ((char)*p == short_forms[k])
                form = &short_forms[k + 1];
        size_t n = utf8_len(p, s.len - i);
        if (form)
            buf_addf(b, "\\%c", *form);
        else if (*p < 0x20)
            buf_addf(b, "\\u%04x", *p);
        else if (n)
            buf_add(b, p, n);
        else
            buf_adds(b, "\xef\xbf\xbd");
        i += n ? n : 1;
    }
    buf_addc(b, '"');
}

void json_add_name(struct buf *b, const char *name)
{
    if (b->len && !strchr("{[:", b->ptr[b->len - 1]))
        buf_addc(b, ',');
    if (name) {
        json_quote(b, str_of(name));
        buf_addc(b, ':');
    }
}

void json_add_open(struct buf *b, const char *name, char bracket)
{
    json_add_name(b, name);
    buf_addc(b, bracket);
}

void json_add_close(struct buf *b, char bracket) { buf_addc(b, bracket); }

void json_add_string(struct buf *b, const char *name, const char *value)
{
    json_add_name(b, name);
    json_quote(b, value ? str_of(value) : STR(""));
}

void json_add_int(struct buf *b, const char *name, int64_t value)
{
    json_add_name(b, name);
    buf_addf(b, "%lld", (long long)value);
}

void json_add_bool(struct buf *b, const char *name, bool value)
{
    json_add_name(b, name);
    buf_adds(b, value ? "true" : "false");
}

void json_add_list(struct buf *b, const char *name, const char *const *items)
{
    json_add_open(b, name, '[');
    for (; *items; items++)
        json_add_string(b, NULL, *items);
    json_add_close(b, ']');
}

void json_add_raw(struct buf *b, const char *name, struct str json)
{
    json_add_name(b, name);
    buf_add(b, json.ptr, json.len);
}
