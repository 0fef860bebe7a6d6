#include "git/hook/tar.h"

enum { BLOCK = 512, PAX_MAX = 64 * 1024 };

void tar_scan_release(struct tar_scan *t)
{
    buf_release(&t->pax);
    free(t->path);
    free(t->folder);
    free(t->submodule);
    *t = (struct tar_scan){0};
}

/* Octal, or binary with the high bit set for sizes from 8 GiB on. */
static uint64_t number(const unsigned char *field, size_t n)
{
    uint64_t v = 0;
    if (field[0] & 0x80) {
        for (size_t i = 1; i < n; i++)
            v = v << 8 | field[i];
        return v;
    }
    for (size_t i = 0; i < n && field[i] >= '0' && field[i] <= '7'; i++)
        v = v << 3 | (uint64_t)(field[i] - '0');
    return v;
}

/* Records "LENGTH NAME=VALUE\n"; the length counts itself. */
static char *pax_path(struct str records)
{
    while (records.len) {
        uint64_t n;
        struct str rest = records, length = str_cut(&rest, ' ');
        if (!rest.ptr || str_to_u64(length, length.len + 2, records.len, &n, NULL) < 0)
            return NULL;
        struct str record = {rest.ptr, (size_t)n - length.len - 1};
        if (str_starts(record, STR("path=")) && record.len > 6)
            return xstrndup(record.ptr + 5, record.len - 6);
        records = (struct str){records.ptr + n, records.len - (size_t)n};
    }
    return NULL;
}

static char *header_path(const unsigned char *h)
{
    int prefix = (int)strnlen((const char *)h + 345, 155);
    int name = (int)strnlen((const char *)h, 100);
    return xasprintf("%.*s%s%.*s", prefix, h + 345, prefix ? "/" : "", name, h);
}

static void close_folder(struct tar_scan *t, const char *next)
{
    if (t->folder && !t->submodule && (!next || strncmp(next, t->folder, strlen(t->folder)) != 0)) {
        t->submodule = TAKE_PTR(t->folder);
        t->submodule[strlen(t->submodule) - 1] = '\0';
    }
    free(TAKE_PTR(t->folder));
}

static void entry(struct tar_scan *t)
{
    unsigned char type = t->header[156];
    uint64_t size = number(t->header + 124, 12);
    t->skip = size > UINT64_MAX - BLOCK ? UINT64_MAX : (size + BLOCK - 1) / BLOCK * BLOCK;
    if (type == 'x' && size <= PAX_MAX) {
        t->pax = BUF_CAP(PAX_MAX);
        t->pax_left = size;
        return;
    }
    if (type == 'g' || type == 'x' || !t->header[0])
        return;
    _cleanup_free_ char *path = t->path ? TAKE_PTR(t->path) : header_path(t->header);
    close_folder(t, path);
    size_t n = strlen(path);
    if (type == '5' && n > 1 && path[n - 1] == '/')
        t->folder = TAKE_PTR(path);
}

static void contents(struct tar_scan *t, const unsigned char *data, size_t n)
{
    size_t wanted = (size_t)MIN(t->pax_left, n);
    if (!wanted)
        return;
    buf_add(&t->pax, data, wanted);
    t->pax_left -= wanted;
    if (t->pax_left)
        return;
    free(t->path);
    t->path = pax_path(buf_str(&t->pax));
    buf_release(&t->pax);
}

void tar_scan(struct tar_scan *t, const void *data, size_t n)
{
    const unsigned char *p = data;
    while (n) {
        size_t take = t->skip ? (size_t)MIN(t->skip, n) : MIN(BLOCK - t->have, n);
        if (t->skip) {
            contents(t, p, take);
            t->skip -= take;
        } else {
            memcpy(t->header + t->have, p, take);
            t->have += take;
            if (t->have == BLOCK) {
                t->have = 0;
                entry(t);
            }
        }
        p += take;
        n -= take;
    }
}

void tar_scan_end(struct tar_scan *t) { close_folder(t, NULL); }
