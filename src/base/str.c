#include "base/str.h"

#include <stdio.h>
#include <sys/random.h>

/* An empty view may have no ptr at all, which memcmp does not like. */
bool str_eq(struct str a, struct str b)
{
    return a.len == b.len && (!a.len || !memcmp(a.ptr, b.ptr, a.len));
}

bool str_starts(struct str s, struct str prefix)
{
    return s.len >= prefix.len && (!prefix.len || !memcmp(s.ptr, prefix.ptr, prefix.len));
}

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

struct str str_trim(struct str s)
{
    while (s.len && is_space(s.ptr[0]))
        s.ptr++, s.len--;
    while (s.len && is_space(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

struct str str_cut(struct str *rest, char sep)
{
    struct str head = *rest;
    const char *at = rest->len ? memchr(rest->ptr, sep, rest->len) : NULL;
    if (!at) {
        *rest = (struct str){NULL, 0};
        return head;
    }
    head.len = (size_t)(at - head.ptr);
    rest->ptr = at + 1;
    rest->len -= head.len + 1;
    return head;
}

int str_to_u64(struct str s, uint64_t min, uint64_t max, uint64_t *ret, struct err *err)
{
    uint64_t v = 0;
    bool ok = s.len > 0 && s.len <= 20;
    for (size_t i = 0; ok && i < s.len; i++) {
        unsigned digit = (unsigned char)s.ptr[i] - (unsigned)'0';
        ok = digit <= 9 && !__builtin_mul_overflow(v, 10, &v) &&
             !__builtin_add_overflow(v, digit, &v);
    }
    if (!ok || v < min || v > max)
        return err_set(err, ERR_INVALID, "'%.*s' is not a whole number from %llu to %llu",
                       (int)MIN(s.len, 40), s.ptr ? s.ptr : "", (unsigned long long)min,
                       (unsigned long long)max);
    *ret = v;
    return 0;
}

void buf_release(struct buf *b)
{
    free(b->ptr);
    *b = BUF_CAP(b->cap);
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->overflow = false;
    if (b->ptr)
        b->ptr[0] = '\0';
}

static size_t room_for(struct buf *b, size_t n)
{
    if (n > b->cap - b->len) {
        n = b->cap - b->len;
        b->overflow = true;
    }
    size_t need = b->len + n + 1;
    if (need > b->size) {
        size_t grown = b->size + b->size / 2;
        b->size = MAX(need, MAX(grown, (size_t)64));
        b->ptr = xrealloc(b->ptr, b->size);
    }
    return n;
}

void buf_add(struct buf *b, const void *data, size_t n)
{
    n = room_for(b, n);
    if (n)
        memcpy(b->ptr + b->len, data, n);
    b->len += n;
    b->ptr[b->len] = '\0';
}

void buf_adds(struct buf *b, const char *s) { buf_add(b, s, strlen(s)); }
void buf_addc(struct buf *b, char c) { buf_add(b, &c, 1); }

void buf_vaddf(struct buf *b, const char *fmt, va_list ap)
{
    char small[256];
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(small, sizeof(small), fmt, ap);
    if (n >= 0 && (size_t)n < sizeof(small)) {
        buf_add(b, small, (size_t)n);
    } else if (n >= 0) {
        char *large = xmalloc((size_t)n + 1);
        vsnprintf(large, (size_t)n + 1, fmt, again);
        buf_add(b, large, (size_t)n);
        free(large);
    }
    va_end(again);
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vaddf(b, fmt, ap);
    va_end(ap);
}

void buf_consume(struct buf *b, size_t n)
{
    if (!n)
        return;
    memmove(b->ptr, b->ptr + n, b->len - n);
    b->len -= n;
    b->ptr[b->len] = '\0';
}

char *buf_take(struct buf *b)
{
    room_for(b, 0);
    b->ptr[b->len] = '\0';
    char *s = b->ptr;
    *b = BUF_CAP(b->cap);
    return s;
}

int buf_check(const struct buf *b, const char *what, struct err *err)
{
    return b->overflow ? err_set(err, ERR_TOO_LARGE, "%s is larger than %zu bytes", what, b->cap)
                       : 0;
}

void strv_release(struct strv *v)
{
    for (size_t i = 0; i < v->n; i++)
        free(v->items[i]);
    free(v->items);
    *v = (struct strv){0};
}

void strv_take(struct strv *v, char *s)
{
    if (v->n + 2 > v->size) {
        v->size = MAX(v->size * 2, (size_t)8);
        v->items = xrealloc(v->items, v->size * sizeof(*v->items));
    }
    v->items[v->n++] = s;
    v->items[v->n] = NULL;
}

void strv_add(struct strv *v, const char *s) { strv_take(v, xstrdup(s)); }

void strv_addf(struct strv *v, const char *fmt, ...)
{
    struct buf b = BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    buf_vaddf(&b, fmt, ap);
    va_end(ap);
    strv_take(v, buf_take(&b));
}

bool strv_has(const struct strv *v, const char *s)
{
    for (size_t i = 0; i < v->n; i++)
        if (streq(v->items[i], s))
            return true;
    return false;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void strv_sort(struct strv *v)
{
    if (v->n)
        qsort(v->items, v->n, sizeof(*v->items), compare);
}

char **strv_argv(struct strv *v)
{
    static char *none[] = {NULL};
    return v->n ? v->items : none;
}

void hex_encode(const void *data, size_t n, char *ret)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *p = data;
    for (size_t i = 0; i < n; i++) {
        ret[2 * i] = digits[p[i] >> 4];
        ret[2 * i + 1] = digits[p[i] & 15];
    }
    ret[2 * n] = '\0';
}

void random_bytes(void *ret, size_t n)
{
    unsigned char *p = ret;
    while (n) {
        ssize_t got = getrandom(p, n, 0);
        if (got < 0)
            abort(); /* only EFAULT and EINVAL are left for blocking reads of this size */
        p += got;
        n -= (size_t)got;
    }
}
