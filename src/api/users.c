/* Users: who there is, and with which role. */
#include "http/body.h"
#include "api/change.h"
#include "api/handlers.h"
#include "http/reply.h"
#include "model/names.h"

int handle_users_list(struct request *rq, struct err *err)
{
    (void)err;
    const struct user *u;
    reply_open(&rq->out, NULL, '{');
    reply_open(&rq->out, "items", '[');
    for (struct mirror_iter i = mirror_of(operator_mirror(api_of(rq)->op), &user_schema, NULL);
         (u = mirror_each(&i));)
        reply_noun(&rq->out, NULL, &user_schema, u);
    reply_close(&rq->out, ']');
    reply_close(&rq->out, '}');
    return 0;
}

struct wish {
    const char *name;
    int role;
    struct user ret;
};

static int put(struct change *c, void *arg, struct err *err)
{
    struct wish *w = arg;
    _cleanup_free_ char *key = key_user(w->name);
    user_release(&w->ret);
    int r = change_read(c, key, &user_schema, &w->ret, err);
    if (r < 0 && r != -ERR_NOT_FOUND)
        return r;
    if (r == 0 && w->ret.role == w->role)
        return 1;
    if (r < 0)
        w->ret = (struct user){.name = xstrdup(w->name), .created = xstrdup(c->now)};
    w->ret.role = w->role;
    change_put(c, key, &user_schema, &w->ret);
    buf_addf(&c->detail, "%s %s", w->name, role_names[w->role]);
    return 0;
}

static int role_called(const char *text, int *ret, struct err *err)
{
    for (int i = 0; role_names[i]; i++)
        if (streq(role_names[i], text)) {
            *ret = i;
            return 0;
        }
    return err_set(err, ERR_INVALID, "there is no role '%.40s', only viewer, developer and admin",
                   text);
}

/* Whoever is root on the machine is admin anyway; saying otherwise would only mislead. */
static int check_not_root(const char *name, struct err *err)
{
    return streq(name, "root") ? err_set(err, ERR_INVALID, "root is always an admin") : 0;
}

int handle_users_put(struct request *rq, struct err *err)
{
    _cleanup_(body_release) json_t *body = NULL;
    struct wish w = {.name = request_param(rq, "user")};
    const char *role;
    int r = user_name_check(w.name, err);
    if (r < 0 || (r = check_not_root(w.name, err)) < 0 ||
        (r = body_object(buf_str(&rq->body), &body, err)) < 0 ||
        (r = body_only(body, err, "role", NULL)) < 0 ||
        (r = body_string(body, "role", &role, err)) < 0 ||
        (r = role_called(role, &w.role, err)) < 0)
        return r;
    r = change_make(api_of(rq), &rq->who, "user.put", NULL, put, &w, err);
    if (r == 0)
        reply_noun(&rq->out, NULL, &user_schema, &w.ret);
    user_release(&w.ret);
    return r;
}

/* The user's tokens go too: one with the same name later is somebody else. */
static int drop(struct change *c, void *arg, struct err *err)
{
    const char *name = arg;
    _cleanup_free_ char *key = key_user(name);
    _cleanup_(user_release) struct user u = {0};
    const struct token *t;
    int r = change_read(c, key, &user_schema, &u, err);
    if (r == -ERR_NOT_FOUND)
        return err_set(err, ERR_NOT_FOUND, "there is no user '%s'", name);
    if (r < 0)
        return r;
    change_delete(c, key);
    for (struct mirror_iter i = mirror_of(operator_mirror(c->api->op), &token_schema, NULL);
         (t = mirror_each(&i));)
        if (streq(t->user, name))
            change_delete(c, i.key);
    buf_adds(&c->detail, name);
    return 0;
}

int handle_users_delete(struct request *rq, struct err *err)
{
    const char *name = request_param(rq, "user");
    int r = user_name_check(name, err);
    if (r < 0 || (r = check_not_root(name, err)) < 0)
        return r;
    rq->status = MHD_HTTP_NO_CONTENT;
    return change_make(api_of(rq), &rq->who, "user.delete", NULL, drop, (void *)name, err);
}
