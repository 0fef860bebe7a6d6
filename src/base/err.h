/* Errors: by value, owned by the caller, never allocated.
 *
 * A function that can fail is `int f(…, struct err *err)`: it returns 0, or -ERR_x after having
 * filled `err`. `err` may be NULL where the caller doesn't care why. `err_set` is called where the
 * error happens; `err_wrap` puts context in front of it on the way up:
 *
 *     starting shop.web.1: mounting its root: No space left on device
 *
 * The hint, if any, is what the user can do about it; it survives wrapping. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdarg.h>

enum err_code {
    ERR_NONE = 0,
#define ERR_CODE(name, text, http, exit) ERR_##name,
#include "base/err_codes.h"
#undef ERR_CODE
    ERR_CODES_END
};

struct err {
    enum err_code code;
    char msg[1024];
    char hint[512];
};

/* Each returns -code, so that `return err_set(err, ERR_INVALID, "…")` reads well.
 * Messages longer than the buffer are cut. */
int err_set(struct err *err, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int err_vset(struct err *err, enum err_code code, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));
/* From errno: appends ": " and its text; ENOSPC and EDQUOT become ERR_NO_SPACE, ENOENT
 * ERR_NOT_FOUND, EEXIST ERR_EXISTS, ETIMEDOUT ERR_TIMEOUT, all others ERR_IO. */
int err_errno(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Puts "context: " in front of an error already set; returns its -code. */
int err_wrap(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Sets what the user can do about it; returns its -code. */
int err_hint(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The table, looked up. A code out of range is taken as ERR_INTERNAL. */
const char *err_code_name(enum err_code code); /* "not_found" */
const char *err_code_text(enum err_code code); /* "not found" */
int err_code_http(enum err_code code);
int err_code_exit(enum err_code code);
/* The code with that name, ERR_INTERNAL if there is none. */
enum err_code err_code_from_name(const char *name);

#endif
