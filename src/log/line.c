#include "log/line.h"

#include <stdio.h>

size_t log_line_prefix(const char *source, const char *process, char ret[LOG_PREFIX_MAX])
{
    char when[TIME_TEXT_LEN + 1];
    time_log_text(time_wall_us(), when);
    return (size_t)snprintf(ret, LOG_PREFIX_MAX, "%s %.16s[%.64s]: ", when, source, process);
}

void log_line_format(const char *source, const char *process, struct str text, struct buf *ret)
{
    char prefix[LOG_PREFIX_MAX];
    buf_add(ret, prefix, log_line_prefix(source, process, prefix));
    for (size_t i = 0; i < text.len; i++)
        buf_addc(ret, text.ptr[i] == '\n' || !text.ptr[i] ? ' ' : text.ptr[i]);
    buf_addc(ret, '\n');
}

bool log_line_parse(struct str text, struct log_line *ret)
{
    struct str rest = text;
    *ret = (struct log_line){.text = text};
    ret->when = str_cut(&rest, ' ');
    if (ret->when.len != TIME_TEXT_LEN || !rest.ptr)
        return false;
    ret->source = str_cut(&rest, '[');
    if (!rest.ptr || !ret->source.len)
        return false;
    ret->process = str_cut(&rest, ']');
    if (!rest.ptr || !str_starts(rest, STR(":")))
        return false;
    rest.ptr++, rest.len--;
    if (str_starts(rest, STR(" ")))
        rest.ptr++, rest.len--;
    ret->message = rest;
    return true;
}
