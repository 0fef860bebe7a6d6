#include "wire/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <strings.h>

struct exchange {
    const struct http_request *request;
    struct http_response *response;
    CURL *curl;
};

void http_response_release(struct http_response *r)
{
    buf_release(&r->body);
    buf_release(&r->headers);
}

static size_t on_body(char *data, size_t one, size_t n, void *ctx)
{
    (void)one;
    struct exchange *x = ctx;
    long status = 0;
    curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &status);
    if (x->request->sink && status / 100 == 2)
        return x->request->sink(x->request->ctx, data, n) ? CURL_WRITEFUNC_ERROR : n;
    buf_add(&x->response->body, data, n);
    return x->response->body.overflow ? CURL_WRITEFUNC_ERROR : n;
}

static size_t on_header(char *data, size_t one, size_t n, void *ctx)
{
    (void)one;
    struct exchange *x = ctx;
    buf_add(&x->response->headers, data, n);
    return n;
}

static size_t on_upload(char *to, size_t one, size_t n, void *ctx)
{
    struct exchange *x = ctx;
    ssize_t got = TEMP_FAILURE_RETRY(read(x->request->body_fd, to, one * n));
    return got < 0 ? CURL_READFUNC_ABORT : (size_t)got;
}

static struct curl_slist *header_add(struct curl_slist *list, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static struct curl_slist *header_add(struct curl_slist *list, const char *fmt, ...)
{
    _cleanup_(buf_release) struct buf b = BUF_CAP(HTTP_HEADERS_MAX);
    va_list ap;
    va_start(ap, fmt);
    buf_vaddf(&b, fmt, ap);
    va_end(ap);
    struct curl_slist *longer = curl_slist_append(list, b.ptr);
    return longer ? longer : list;
}

static struct curl_slist *headers_of(const struct http_request *q)
{
    /* Asking first costs a round trip; but who is refused in the midst of a large body may not hear
     * why. */
    struct curl_slist *list =
        header_add(NULL, q->body_fd && q->token ? "Expect: 100-continue" : "Expect:");
    if (q->host)
        list = header_add(list, "Host: %s", q->host);
    if (q->content_type)
        list = header_add(list, "Content-Type: %s", q->content_type);
    if (q->token)
        list = header_add(list, "Authorization: Bearer %s", q->token);
    if (q->body_fd)
        list = header_add(list, "Transfer-Encoding: chunked");
    return list;
}

static void set_body(CURL *c, struct exchange *x)
{
    const struct http_request *q = x->request;
    if (q->body_fd) {
        curl_easy_setopt(c, CURLOPT_POST, 1L);
        curl_easy_setopt(c, CURLOPT_READFUNCTION, on_upload);
        curl_easy_setopt(c, CURLOPT_READDATA, x);
        curl_easy_setopt(c, CURLOPT_UPLOAD_BUFFERSIZE, 256L * 1024);
    } else if (q->body.ptr) {
        curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->body.len);
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, q->body.ptr);
    } else if (streq(q->method, "POST")) {
        curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)0);
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, "");
    }
    curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, q->method);
}

static void set_options(struct exchange *x, struct curl_slist *headers, char *reason)
{
    CURL *c = x->curl;
    const struct http_request *q = x->request;
    curl_easy_setopt(c, CURLOPT_URL, q->url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, 10000L);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)q->timeout_ms);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, reason);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, x);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, x);
    if (q->socket) {
        curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, q->socket);
        curl_easy_setopt(c, CURLOPT_PROXY, "");
    }
    set_body(c, x);
}

static int failed(const struct exchange *x, CURLcode code, const char *reason, struct err *err)
{
    const struct http_request *q = x->request;
    const char *where = q->socket ? q->socket : q->url;
    long os = 0;
    curl_easy_getinfo(x->curl, CURLINFO_OS_ERRNO, &os);
    if (q->socket && code == CURLE_COULDNT_CONNECT && os)
        reason = strerror((int)os); /* libcurl's own words name a host and a port there are not */
    else if (!*reason)
        reason = curl_easy_strerror(code);
    switch (code) {
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
        return err_set(err, ERR_UNAVAILABLE, "nobody answers at %s: %s", where, reason);
    case CURLE_OPERATION_TIMEDOUT: return err_set(err, ERR_TIMEOUT, "%s: %s", where, reason);
    default: return err_set(err, ERR_IO, "%s: %s", where, reason);
    }
}

int http_send(const struct http_request *q, struct http_response *ret, struct err *err)
{
    char reason[CURL_ERROR_SIZE] = "";
    *ret = (struct http_response){.body = BUF_CAP(HTTP_BODY_MAX),
                                  .headers = BUF_CAP(HTTP_HEADERS_MAX)};
    struct exchange x = {.request = q, .response = ret, .curl = curl_easy_init()};
    if (!x.curl)
        return err_set(err, ERR_INTERNAL, "libcurl can't be started");
    struct curl_slist *headers = headers_of(q);
    set_options(&x, headers, reason);
    CURLcode code = curl_easy_perform(x.curl);
    long status = 0;
    curl_easy_getinfo(x.curl, CURLINFO_RESPONSE_CODE, &status);
    ret->status = (int)status;
    int r = code == CURLE_OK ? 0 : failed(&x, code, reason, err);
    curl_slist_free_all(headers);
    curl_easy_cleanup(x.curl);
    return r;
}

struct str http_header(const struct http_response *r, const char *name)
{
    struct str found = {0}, rest = buf_str(&r->headers);
    while (rest.ptr) {
        struct str value = str_cut(&rest, '\n');
        struct str key = str_cut(&value, ':');
        if (value.ptr && key.len == strlen(name) && !strncasecmp(key.ptr, name, key.len))
            found = str_trim(value);
    }
    return found;
}
