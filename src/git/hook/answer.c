#include "git/hook/answer.h"

#include <strings.h>

void answer_init(struct answer *a) { *a = (struct answer){.line = BUF_CAP(LINE_MAX_LEN)}; }
void answer_release(struct answer *a) { buf_release(&a->line); }

static int malformed(struct err *err)
{
    return err_set(err, ERR_INVALID, "the API's answer is not HTTP");
}

/* The value if the line is "NAME: value". */
static bool header(struct str line, const char *name, struct str *ret)
{
    size_t n = strlen(name);
    if (line.len <= n || strncasecmp(line.ptr, name, n) != 0 || line.ptr[n] != ':')
        return false;
    *ret = str_trim((struct str){line.ptr + n + 1, line.len - n - 1});
    return true;
}

static int status_line(struct answer *a, struct str line, struct err *err)
{
    uint64_t status;
    if (!str_starts(line, STR("HTTP/1.1 ")) || line.len < 12 ||
        str_to_u64((struct str){line.ptr + 9, 3}, 100, 599, &status, NULL) < 0)
        return malformed(err);
    a->status = (int)status;
    a->state = ANSWER_HEADERS;
    return 0;
}

static int header_line(struct answer *a, struct str line, struct err *err)
{
    struct str value;
    if (header(line, "Transfer-Encoding", &value))
        a->chunked = str_eq(value, STR("chunked"));
    else if (header(line, "Content-Length", &value) &&
             str_to_u64(value, 0, INT64_MAX, &a->left, NULL) < 0)
        return malformed(err);
    else if (header(line, "Davit-Build", &value))
        snprintf(a->build, sizeof(a->build), "%.*s", (int)value.len, value.ptr);
    if (line.len)
        return 0;
    if (a->status < 200) /* 100 Continue: the real one follows */
        a->state = ANSWER_STATUS;
    else if (a->chunked)
        a->state = ANSWER_CHUNK_SIZE;
    else
        a->state = a->left ? ANSWER_COUNTED : ANSWER_DONE;
    return 0;
}

static int chunk_line(struct answer *a, struct str line, struct err *err)
{
    struct str digits = str_trim(str_cut(&line, ';'));
    a->left = 0;
    if (!digits.len || digits.len > 15)
        return malformed(err);
    for (size_t i = 0; i < digits.len; i++) {
        char c = (char)(digits.ptr[i] | 0x20);
        if (c >= '0' && c <= '9')
            a->left = a->left * 16 + (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            a->left = a->left * 16 + (uint64_t)(c - 'a' + 10);
        else
            return malformed(err);
    }
    a->state = a->left ? ANSWER_CHUNK : ANSWER_TRAILERS;
    return 0;
}

static int trailer_line(struct answer *a, struct str line)
{
    struct str value;
    if (header(line, "Davit-Result", &value))
        snprintf(a->result, sizeof(a->result), "%.*s", (int)value.len, value.ptr);
    if (!line.len)
        a->state = ANSWER_DONE;
    return 0;
}

static int take_line(struct answer *a, struct str line, struct err *err)
{
    switch (a->state) {
    case ANSWER_STATUS: return status_line(a, line, err);
    case ANSWER_HEADERS: return header_line(a, line, err);
    case ANSWER_CHUNK_SIZE: return chunk_line(a, line, err);
    case ANSWER_TRAILERS: return trailer_line(a, line);
    case ANSWER_CHUNK_END: a->state = ANSWER_CHUNK_SIZE; return line.len ? malformed(err) : 0;
    default: return malformed(err);
    }
}

int answer_feed(struct answer *a, const char *data, size_t n, struct buf *body, struct err *err)
{
    while (n && a->state != ANSWER_DONE) {
        if (a->state == ANSWER_CHUNK || a->state == ANSWER_COUNTED) {
            size_t take = (size_t)MIN(a->left, n);
            buf_add(body, data, take);
            data += take, n -= take, a->left -= take;
            if (!a->left)
                a->state = a->state == ANSWER_CHUNK ? ANSWER_CHUNK_END : ANSWER_DONE;
            continue;
        }
        const char *nl = memchr(data, '\n', n);
        size_t take = nl ? (size_t)(nl - data) + 1 : n;
        buf_add(&a->line, data, take);
        data += take, n -= take;
        if (a->line.overflow)
            return malformed(err);
        if (!nl)
            continue;
        int r = take_line(a, str_trim(buf_str(&a->line)), err);
        buf_reset(&a->line);
        if (r < 0)
            return r;
    }
    return 0;
}
