#include "gateway/command.h"

#include "gateway/conf.h"

static bool is_plain(const char *text)
{
    return !text || (*text && !text[strspn(text, "abcdefghijklmnopqrstuvwxyz"
                                                 "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:")]);
}

/* One server; `be` is the backend's name without its first letter, `kind`. */
static void add_command(struct buf *b, char kind, const char *be, const struct action *a)
{
    const char *name = a->name;
    struct str port = str_of(a->value ? a->value : ""), ip = str_cut(&port, ':');
    if (a->type == ACTION_ADD || a->type == ACTION_START) /* of two twins one may be there */
        buf_addf(b, "add server %c%s/%s %s " CONF_SERVER_ARGS "%s;", kind, be, name, a->value,
                 kind == 'g' ? CONF_TWIN_ARGS : "");
    if (a->type == ACTION_ADD || a->type == ACTION_START || a->type == ACTION_ADDRESS)
        buf_addf(b, "set server %c%s/%s addr %.*s port %.*s;", kind, be, name, (int)ip.len, ip.ptr,
                 (int)port.len, port.ptr);
    if (a->type == ACTION_ADD || a->type == ACTION_START)
        buf_addf(b, "enable health %c%s/%s;set server %c%s/%s state ready;", kind, be, name, kind,
                 be, name);
    if (a->type == ACTION_CUT)
        buf_addf(b, "shutdown sessions server %c%s/%s;", kind, be, name);
    if (a->type == ACTION_STOP)
        buf_addf(b, "set server %c%s/%s state maint;", kind, be, name);
    if (a->type == ACTION_DELETE) /* a new address makes HAProxy close what idles to the old one */
        buf_addf(b, "set server %c%s/%s addr 127.0.0.1 port 1;", kind, be, name);
    if (a->type == ACTION_STOP || a->type == ACTION_DELETE)
        buf_addf(b, "del server %c%s/%s;", kind, be, name);
}

static void add_row_command(struct buf *b, const struct state *s, const struct action *a)
{
    const char *file = table_files[a->table];
    if (a->type == ACTION_UNSET)
        buf_addf(b, "del map %s %s", file, a->name);
    else
        buf_addf(b, "%s map %s %s %s", table_get(&s->tables[a->table], a->name) ? "set" : "add",
                 file, a->name, a->value);
}

int command_for(const struct state *s, const struct action *a, char **ret, struct err *err)
{
    if (!is_plain(a->backend) || !is_plain(a->name) || !is_plain(a->value))
        return err_set(err, ERR_INVALID, "not a name for HAProxy: %s %s", a->name,
                       a->value ? a->value : "");
    struct buf b = BUF_INIT;
    if (a->type == ACTION_SET || a->type == ACTION_UNSET) {
        add_row_command(&b, s, a);
    } else {
        add_command(&b, 'g', a->backend + 1, a);
        add_command(&b, 's', a->backend + 1, a);
        b.ptr[b.len - 1] = '\0'; /* behind the last ';' HAProxy expects one more */
    }
    *ret = buf_take(&b);
    return 0;
}

static bool says(struct str reply, const char *text)
{
    return memmem(reply.ptr, reply.len, text, strlen(text)) != NULL;
}

static bool says_one_of(struct str answer, const char *const *texts)
{
    for (; *texts; texts++) {
        if (says(answer, *texts))
            return true;
    }
    return false;
}

/* HAProxy answers in words only: nothing, or one of these, is success. That something still runs on
 * a server that is to go is a fact, not a failure. */
static bool is_success(enum action_type type, struct str answer)
{
    static const char *const adding[] = {"New server registered.", "Already exists a server",
                                         " changed from ",         "no need to change",
                                         "nothing changed",        NULL};
    static const char *const ending[] = {"Server deleted.",
                                         "No such server.",
                                         " changed from ",
                                         "no need to change",
                                         "still has connections",
                                         "nothing changed",
                                         NULL};
    bool ends = type == ACTION_STOP || type == ACTION_CUT || type == ACTION_DELETE;
    return !str_trim(answer).len || says_one_of(answer, ends ? ending : adding);
}

struct str command_answer(struct str *reply)
{
    struct str whole = *reply;
    while (reply->len) {
        struct str line = str_cut(reply, '\n');
        if (!line.len)
            return (struct str){whole.ptr, (size_t)(line.ptr - whole.ptr)};
    }
    return whole;
}

int command_judge(const struct action *a, struct str reply, bool *ret_deleted, struct err *err)
{
    bool deleted = a->type == ACTION_STOP || a->type == ACTION_DELETE;
    while (reply.len) {
        struct str answer = command_answer(&reply);
        if (!is_success(a->type, answer))
            return err_set(err, ERR_INTERNAL, "HAProxy says: %.*s", (int)str_trim(answer).len,
                           str_trim(answer).ptr);
        deleted &= !says(answer, "still has connections");
    }
    *ret_deleted = deleted;
    return 0;
}
