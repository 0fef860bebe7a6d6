/* Strings: `struct str` is a view that owns nothing, `struct buf` grows up to a cap and owns its
 * bytes. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

struct str {
    const char *ptr;
    size_t len;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
static inline struct str str_of(const char *s) { return (struct str){s, s ? strlen(s) : 0}; }
static inline bool streq(const char *a, const char *b) { return strcmp(a, b) == 0; }
bool str_eq(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
struct str str_trim(struct str s); /* ASCII blanks, tabs, CR and LF off both ends */
/* Cuts *rest at the first `sep`, returns what stood before it and moves *rest behind it.
 * Without a `sep` the whole is returned and *rest becomes empty with ptr == NULL. */
struct str str_cut(struct str *rest, char sep);
/* A decimal number without sign or blanks, within [min, max]; anything else is ERR_INVALID. */
int str_to_u64(struct str s, uint64_t min, uint64_t max, uint64_t *ret, struct err *err);

/* A growing buffer; `ptr` is always NUL-terminated once anything was added. `cap` is the ceiling in
 * bytes, stated by whoever initialises it. Adding past the ceiling sets `overflow`, keeps what
 * fits, and is to be checked once at the end: `buf_check`. A buf for our own short texts may be
 * BUF_INIT (16 MiB). */
struct buf {
    char *ptr;
    size_t len, size, cap;
    bool overflow;
};

#define BUF_CAP(max) ((struct buf){.cap = (max)})
#define BUF_INIT BUF_CAP((size_t)16 << 20)
void buf_release(struct buf *b);
void buf_reset(struct buf *b); /* empties, keeps the memory and the cap */
void buf_add(struct buf *b, const void *data, size_t n);
void buf_adds(struct buf *b, const char *s);
void buf_addc(struct buf *b, char c);
void buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vaddf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
void buf_consume(struct buf *b, size_t n); /* drops n bytes from the front */
char *
buf_take(struct buf *b); /* the bytes, NUL-terminated, owned by the caller; b is empty after */
/* `what` was larger than the cap: ERR_TOO_LARGE, else 0. */
int buf_check(const struct buf *b, const char *what, struct err *err);
static inline struct str buf_str(const struct buf *b)
{
    return (struct str){b->ptr ? b->ptr : "", b->len};
}

/* A list of owned strings. */
struct strv {
    char **items;
    size_t n, size;
};

void strv_release(struct strv *v);
void strv_add(struct strv *v, const char *s);
void strv_addf(struct strv *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void strv_take(struct strv *v, char *s); /* takes ownership of s */
bool strv_has(const struct strv *v, const char *s);
void strv_sort(struct strv *v);
/* The items as a NULL-terminated argument vector; valid until v changes. */
char **strv_argv(struct strv *v);

/* Lower-case hex. `ret` holds 2*n+1 bytes. */
void hex_encode(const void *data, size_t n, char *ret);
/* Fills `ret` with n random bytes from the kernel. */
void random_bytes(void *ret, size_t n);

#endif
