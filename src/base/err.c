#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name, *text;
    int http, exit;
} table[ERR_CODES_END] = {
    [ERR_NONE] = {"none", "no error", 200, 0},
#define ERR_CODE(n, t, h, e) [ERR_##n] = {#n, t, h, e},
#include "base/err_codes.h"
#undef ERR_CODE
};

static enum err_code in_range(enum err_code code)
{
    return (unsigned)code < ERR_CODES_END ? code : ERR_INTERNAL;
}

/* Stands in for the error of a caller who doesn't care why, so that wrapping still knows the code.
 */
static __thread struct err nobodys;

static struct err *or_nobodys(struct err *err) { return err ? err : &nobodys; }

/* What is wrapped is an error, even if nobody recorded which. */
static int failure(struct err *err)
{
    if (!err->code)
        err->code = ERR_INTERNAL;
    return -(int)err->code;
}

int err_vset(struct err *err, enum err_code code, const char *fmt, va_list ap)
{
    err = or_nobodys(err);
    err->code = code;
    err->hint[0] = '\0';
    vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
    return -(int)code;
}

int err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int r = err_vset(err, code, fmt, ap);
    va_end(ap);
    return r;
}

static enum err_code code_from_errno(int e)
{
    switch (e) {
    case ENOSPC:
    case EDQUOT: return ERR_NO_SPACE;
    case ENOENT: return ERR_NOT_FOUND;
    case EEXIST: return ERR_EXISTS;
    case ETIMEDOUT: return ERR_TIMEOUT;
    default: return ERR_IO;
    }
}

int err_errno(struct err *err, const char *fmt, ...)
{
    int e = errno;
    err = or_nobodys(err);
    va_list ap;
    va_start(ap, fmt);
    int r = err_vset(err, code_from_errno(e), fmt, ap);
    va_end(ap);
    size_t n = strlen(err->msg);
    snprintf(err->msg + n, sizeof(err->msg) - n, ": %s", strerror(e));
    errno = e;
    return r;
}

int err_wrap(struct err *err, const char *fmt, ...)
{
    err = or_nobodys(err);
    char context[sizeof(err->msg)];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(context, sizeof(context), fmt, ap);
    va_end(ap);
    char joined[2 * sizeof(err->msg) + 2];
    snprintf(joined, sizeof(joined), "%s: %s", context, err->msg);
    joined[sizeof(err->msg) - 1] = '\0';
    memcpy(err->msg, joined, strlen(joined) + 1);
    return failure(err);
}

int err_hint(struct err *err, const char *fmt, ...)
{
    err = or_nobodys(err);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->hint, sizeof(err->hint), fmt, ap);
    va_end(ap);
    return failure(err);
}

const char *err_code_name(enum err_code code)
{
    static char names[ERR_CODES_END][20];
    code = in_range(code);
    char *name = names[code];
    if (!name[0])
        for (size_t i = 0; table[code].name[i]; i++) {
            char c = table[code].name[i];
            name[i] = c == '_' ? '_' : (char)(c | 0x20);
        }
    return name;
}

const char *err_code_text(enum err_code code) { return table[in_range(code)].text; }
int err_code_http(enum err_code code) { return table[in_range(code)].http; }
int err_code_exit(enum err_code code) { return table[in_range(code)].exit; }

enum err_code err_code_from_name(const char *name)
{
    for (enum err_code c = ERR_NONE; c < ERR_CODES_END; c++)
        if (!strcmp(err_code_name(c), name))
            return c;
    return ERR_INTERNAL;
}
