#include "image/tar.h"

#include <stdio.h>

struct ustar {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], chksum[8], typeflag,
        linkname[100], magic[6], version[2], uname[32], gname[32], devmajor[8], devminor[8],
        prefix[155], unused[12];
};
_Static_assert(sizeof(struct ustar) == TAR_BLOCK, "a ustar header is one block");

enum { OCTAL_11 = 33 }; /* bits in eleven octal digits */

void tar_pax(struct buf *out, const char *key, struct str value)
{
    size_t body = strlen(key) + value.len + 3; /* ' ', '=' and '\n' */
    size_t len = body + 1;
    /* The length counts its own digits. */
    while (len != body + (size_t)snprintf(NULL, 0, "%zu", len))
        len = body + (size_t)snprintf(NULL, 0, "%zu", len);
    buf_addf(out, "%zu %s=", len, key);
    buf_add(out, value.ptr, value.len);
    buf_addc(out, '\n');
}

static void pax_number(struct buf *out, const char *key, int64_t value)
{
    char text[32];
    snprintf(text, sizeof(text), "%lld", (long long)value);
    tar_pax(out, key, str_of(text));
}

static bool is_utf8(const char *s)
{
    for (const unsigned char *p = (const unsigned char *)s; *p; p++) {
        unsigned more = *p < 0x80                 ? 0
                        : *p >= 0xc2 && *p < 0xe0 ? 1
                        : *p >= 0xe0 && *p < 0xf0 ? 2
                        : *p >= 0xf0 && *p < 0xf5 ? 3
                                                  : 9;
        if (more == 9)
            return false;
        for (; more; more--)
            if ((*++p & 0xc0) != 0x80)
                return false;
    }
    return true;
}

static void octal(char *field, size_t size, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof(text), "%0*llo", (int)size - 1, (unsigned long long)value);
    memcpy(field, text, size);
}

static void put_block(struct buf *out, const struct tar_entry *e, char type, uint64_t size)
{
    struct ustar h = {0};
    bool time_fits = e->mtime >= 0 && (uint64_t)e->mtime >> OCTAL_11 == 0;
    memcpy(h.name, e->path, MIN(strlen(e->path), sizeof(h.name)));
    memcpy(h.linkname, e->link, MIN(strlen(e->link), sizeof(h.linkname)));
    octal(h.mode, sizeof(h.mode), e->mode & 07777);
    octal(h.uid, sizeof(h.uid), e->uid);
    octal(h.gid, sizeof(h.gid), e->gid);
    octal(h.size, sizeof(h.size), size >> OCTAL_11 ? 0 : size);
    octal(h.mtime, sizeof(h.mtime), time_fits ? (uint64_t)e->mtime : 0);
    h.typeflag = type;
    memcpy(h.magic, "ustar", 6);
    memcpy(h.version, "00", 2);
    memset(h.chksum, ' ', sizeof(h.chksum));
    unsigned sum = 0;
    for (size_t i = 0; i < sizeof(h); i++)
        sum += ((const unsigned char *)&h)[i];
    octal(h.chksum, 7, sum);
    buf_add(out, &h, sizeof(h));
}

static void put_pax(struct buf *out, struct str records)
{
    static const char zeros[TAR_BLOCK];
    const struct tar_entry pax = {.path = "././@PaxHeader", .link = "", .mode = 0644};
    put_block(out, &pax, 'x', records.len);
    buf_add(out, records.ptr, records.len);
    buf_add(out, zeros, tar_padding(records.len));
}

void tar_header(struct buf *out, const struct tar_entry *e)
{
    _cleanup_(buf_release) struct buf pax = BUF_INIT;
    bool long_path = strlen(e->path) > 100, long_link = strlen(e->link) > 100;
    if ((long_path && !is_utf8(e->path)) || (long_link && !is_utf8(e->link)))
        tar_pax(&pax, "hdrcharset", STR("BINARY"));
    if (long_path)
        tar_pax(&pax, "path", str_of(e->path));
    if (long_link)
        tar_pax(&pax, "linkpath", str_of(e->link));
    if (e->size >> OCTAL_11)
        pax_number(&pax, "size", (int64_t)e->size);
    if (e->mtime < 0 || (uint64_t)e->mtime >> OCTAL_11)
        pax_number(&pax, "mtime", e->mtime);
    buf_add(&pax, e->xattrs.ptr, e->xattrs.len);
    if (pax.len)
        put_pax(out, buf_str(&pax));
    put_block(out, e, (char)e->type, e->size);
}
