/* Users: who there is, and with which role. */
#include "api/change.h"
#include "api/routes.h"
#include "http/reply.h"
#include "model/names.h"

static int users_list(struct request *rq, struct err *err)
{
    (void)err;
    const struct user *u;
    struct page p = page_begin(rq);
    struct mirror_iter i = page_of(&p, &user_schema, NULL);
    while ((u = mirror_each(&i)) && page_item(&p, u->name))
        reply_noun(&rq->out, NULL, &user_schema, u);
    page_end(&p);
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

static int role_called(const char *text)
{
    int role = 0;
    while (!streq(role_names[role], text))
        role++;
    return role;
}

/* Whoever is root on the machine is admin anyway; saying otherwise would only mislead. */
static int check_not_root(const char *name, struct err *err)
{
    return streq(name, "root") ? err_set(err, ERR_INVALID, "root is always an admin") : 0;
}

static int users_put(struct request *rq, struct err *err)
{
    struct wish w = {.name = request_param(rq, "user"), .role = role_called(body_text(rq, "role"))};
    int r = check_not_root(w.name, err);
    if (r < 0)
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

static int users_delete(struct request *rq, struct err *err)
{
    const char *name = request_param(rq, "user");
    int r = check_not_root(name, err);
    return r < 0 ? r
                 : change_make(api_of(rq), &rq->who, "user.delete", NULL, drop, (void *)name, err);
}

/* clang-format off */
const struct route user_routes[] = {
    ROUTE(GET, "/v1/users", users_list, VIEWER, "All users", QUERY(PAGED), LIST_OF(user_schema)),
    ROUTE(PUT, "/v1/users/{user}", users_put, ADMIN, "Add a user, or change their role",
          FIELDS({"role", "what they may do", .choices = role_names, .required = true}), ONE(user_schema)),
    ROUTE(DELETE, "/v1/users/{user}", users_delete, ADMIN, "Remove a user and their tokens", NOTHING),
    {0},
};
/* clang-format on */
