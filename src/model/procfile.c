#include "model/procfile.h"

#include "model/names.h"

static int complain(size_t line, size_t column, struct err *err, const char *what)
{
    err_set(err, ERR_INVALID, "Procfile, line %zu, column %zu: %s", line, column, what);
    return err_hint(err, "Each line is TYPE: COMMAND, for example   web: node server.js");
}

static bool has_type(const struct list *l, const char *type)
{
    for (size_t i = 0; i < l->n; i++)
        if (streq(list_at(l, struct process, i)->type, type))
            return true;
    return false;
}

static int parse_line(struct str text, size_t line, struct list *ret, struct err *err)
{
    struct str rest = text;
    struct str type = str_trim(str_cut(&rest, ':'));
    size_t column = (size_t)(type.ptr - text.ptr) + 1;
    if (!rest.ptr)
        return complain(line, column, err, "there is no ':' behind the process type");
    struct str command = str_trim(rest);
    _cleanup_free_ char *name = xstrndup(type.ptr, type.len);
    if (!type.len || process_type_check(name, err) < 0)
        return complain(line, column, err,
                        "a process type is 1 to 63 letters, digits, '_' and '-'");
    if (!command.len)
        return complain(line, (size_t)(rest.ptr - text.ptr) + 1, err,
                        "there is no command behind the ':'");
    if (memchr(command.ptr, '\0', command.len))
        return complain(line, column, err, "a NUL byte is not allowed");
    if (has_type(ret, name))
        return complain(line, column, err, "this process type is there already");
    struct process *p = list_add(ret, sizeof(*p));
    p->type = TAKE_PTR(name);
    p->command = xstrndup(command.ptr, command.len);
    p->quantity = streq(p->type, "web") ? 1 : 0;
    return 0;
}

int procfile_parse(struct str text, struct list *ret, struct err *err)
{
    if (text.len > PROCFILE_MAX)
        return err_set(err, ERR_TOO_LARGE, "Procfile is larger than %d KiB", PROCFILE_MAX / 1024);
    if (str_starts(text, STR("\xef\xbb\xbf")))
        text = (struct str){text.ptr + 3, text.len - 3};
    size_t line = 0;
    while (text.ptr) {
        struct str whole = str_cut(&text, '\n');
        struct str trimmed = str_trim(whole);
        line++;
        if (!trimmed.len || trimmed.ptr[0] == '#')
            continue;
        int r = parse_line(whole, line, ret, err);
        if (r < 0)
            return r;
    }
    if (!ret->n)
        return complain(MAX(line, (size_t)1), 1, err, "it names no process");
    return 0;
}
