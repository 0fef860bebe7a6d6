#include "gateway/logline.h"

#include "gateway/errors.h"
#include "gateway/state.h"

enum { IDLE_MS = 55000 }; /* conf.c's `http-response set-timeout` */

/* In the order of conf.c's LOG_FORMAT. */
enum field {
    F_APP,
    F_END,
    F_STATUS,
    F_BACKEND,
    F_SERVER,
    F_METHOD,
    F_HOST,
    F_ID,
    F_CLIENT,
    F_CONNECT,
    F_RESPONSE,
    F_DATA,
    F_BYTES,
    F_VERSION,
    F_TLS,
    F_PATH,
    FIELDS
};

/* How a request ended, in HAProxy's two letters (configuration.txt, 8.5): who ended it, and when.
 * '*' is any. The first that fits counts. */
static const struct {
    char who, when;
    enum gateway_error error;
} endings[] = {
    {'s', 'H', GATEWAY_H12}, {'s', 'C', GATEWAY_H19}, {'S', 'C', GATEWAY_H21},
    {'S', 'H', GATEWAY_H13}, {'P', 'H', GATEWAY_H25}, {'L', 'H', GATEWAY_H13},
    {'S', '*', GATEWAY_H18}, {'K', '*', GATEWAY_H18}, {'D', '*', GATEWAY_H18},
    {'s', '*', GATEWAY_H15}, {'c', 'D', GATEWAY_H15}, {'C', '*', GATEWAY_H27},
    {'c', '*', GATEWAY_H27}, {'R', '*', GATEWAY_H99}, {'I', '*', GATEWAY_H99},
};

static int64_t number(struct str s)
{
    uint64_t n;
    return str_to_u64(s, 0, INT64_MAX / 4, &n, NULL) < 0 ? -1 : (int64_t)n;
}

/* HAProxy 3.0 says CD when it gives up on a silent server, as if the client had left. What tells
 * the two apart is the error of the client's connection, which it logs behind the letters, and that
 * silence takes its time. */
static bool is_idle(const struct str f[FIELDS])
{
    return str_eq(f[F_END], STR("CD0")) && number(f[F_DATA]) >= IDLE_MS;
}

static enum gateway_error ending(const struct str f[FIELDS])
{
    for (int e = GATEWAY_OK + 1; *f[F_BACKEND].ptr == 'H' && e <= GATEWAY_H99; e++) {
        struct str code = str_of(gateway_error_code((enum gateway_error)e));
        if (str_eq(f[F_BACKEND], code))
            return (enum gateway_error)e;
    }
    char who = f[F_END].ptr[0], when = f[F_END].ptr[1];
    if (is_idle(f))
        return GATEWAY_H15;
    /* Either side may hang up on a WebSocket. */
    if (str_eq(f[F_STATUS], STR("101")) && (who == 'C' || who == 'S'))
        return GATEWAY_OK;
    for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
        if (who == endings[i].who && (when == endings[i].when || endings[i].when == '*'))
            return endings[i].error;
    }
    return GATEWAY_OK;
}

static void add_number(struct buf *b, int64_t n)
{
    char digits[20], *p = digits + sizeof(digits);
    do
        *--p = (char)('0' + n % 10);
    while (n /= 10);
    buf_add(b, p, (size_t)(digits + sizeof(digits) - p));
}

/* Negative: it never came to that. */
static void add_ms(struct buf *b, int64_t ms)
{
    if (ms < 0)
        return;
    add_number(b, ms);
    buf_adds(b, "ms");
}

static void add_str(struct buf *b, struct str s) { buf_add(b, s.ptr, s.len); }

static void add_protocol(struct buf *b, struct str version, struct str tls)
{
    if (str_starts(version, STR("HTTP/")))
        version.ptr += 5, version.len -= 5;
    if (version.len > 2 && version.ptr[0] >= '2') /* "2.0" is called 2 */
        version.len = 1;
    buf_adds(b, " protocol=http");
    add_str(b, version);
    if (!str_starts(tls, STR("TLSv"))) {
        buf_adds(b, " tls=false");
        return;
    }
    buf_addf(b, " tls=true tls_version=tls%.*s", (int)tls.len - 4, tls.ptr + 4);
}

/* In HTTP/2 it is the whole URL. Quotes and control characters come escaped from HAProxy. */
static struct str path_of(struct str url)
{
    if (!url.len || *url.ptr == '/')
        return url;
    const char *authority = memmem(url.ptr, url.len, "://", 3);
    if (!authority)
        return url;
    authority += 3;
    const char *path = memchr(authority, '/', (size_t)(url.ptr + url.len - authority));
    return path ? (struct str){path, (size_t)(url.ptr + url.len - path)} : STR("/");
}

static bool split(struct str raw, struct str f[FIELDS])
{
    for (int i = 0; i < FIELDS; i++) {
        if (!raw.ptr)
            return false;
        f[i] = i + 1 < FIELDS ? str_cut(&raw, '\t') : raw;
    }
    return f[F_END].len >= 2 && f[F_BACKEND].len && f[F_APP].len && !str_eq(f[F_APP], STR("-"));
}

/* 499 is what nginx calls a client that went away before its answer (HAProxy 2.6 logs -1, 3.0 400);
 * no status at all is our failure. HAProxy logs its own 502 and 504 when it sends the pages of H13
 * (and H25) and H12, which are 503. */
static int64_t status_of(const struct str f[FIELDS], enum gateway_error e)
{
    int64_t status = number(f[F_STATUS]);
    if (e == GATEWAY_H12 || e == GATEWAY_H13 || e == GATEWAY_H25)
        return 503;
    if (e == GATEWAY_H27 && number(f[F_RESPONSE]) < 0)
        return 499;
    return status > 0 ? status : 503;
}

static int64_t service_of(const struct str f[FIELDS])
{
    int64_t first_byte = number(f[F_RESPONSE]), rest = number(f[F_DATA]);
    return first_byte < 0 ? -1 : first_byte + MAX(rest, (int64_t)0);
}

static void add_outcome(struct buf *b, enum gateway_error e)
{
    if (e)
        buf_addf(b, "at=error code=%s desc=\"%s\" method=", gateway_error_code(e),
                 gateway_error_text(e));
    else
        buf_adds(b, "at=info method=");
}

bool log_format_line(struct str raw, const char *prefix, struct str *ret_app, struct buf *b)
{
    struct str f[FIELDS], app, process = {0}, id;
    if (!split(raw, f))
        return false;
    server_name_parts(f[F_SERVER], &app, &process, &id);
    enum gateway_error e = ending(f);
    buf_adds(b, prefix);
    add_outcome(b, e);
    add_str(b, f[F_METHOD]);
    buf_adds(b, " path=\"");
    add_str(b, path_of(f[F_PATH]));
    buf_adds(b, "\" host=");
    add_str(b, f[F_HOST]);
    buf_adds(b, " request_id=");
    add_str(b, f[F_ID]);
    buf_adds(b, " fwd=\"");
    add_str(b, f[F_CLIENT]);
    buf_adds(b, "\" dyno=");
    add_str(b, process);
    buf_adds(b, " connect=");
    add_ms(b, number(f[F_CONNECT]));
    buf_adds(b, " service=");
    add_ms(b, service_of(f));
    buf_adds(b, " status=");
    add_number(b, status_of(f, e));
    buf_adds(b, " bytes=");
    add_str(b, f[F_BYTES]);
    add_protocol(b, f[F_VERSION], f[F_TLS]);
    buf_addc(b, '\n');
    *ret_app = f[F_APP];
    return true;
}
