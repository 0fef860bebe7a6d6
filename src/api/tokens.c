/* Tokens: 256 random bits, shown once, stored as their SHA-256. */
#include "http/body.h"
#include "api/change.h"
#include "api/handlers.h"
#include "http/reply.h"
#include "base/time.h"
#include "model/names.h"

enum { TOKEN_NAME_MAX = 64 };
static const int64_t TTL_MAX = 10LL * 366 * 86400;

static bool mine(const struct request *rq, const struct token *t)
{
    return t && t->user && streq(t->user, rq->who.user);
}

static void add_token(struct buf *b, const char *hash, const struct token *t, const char *secret)
{
    _cleanup_free_ char *id = xstrndup(hash, TOKEN_ID_LEN);
    reply_open(b, NULL, '{');
    if (secret)
        reply_string(b, "token", secret);
    reply_string(b, "id", id);
    reply_string(b, "user", t->user);
    reply_string(b, "name", t->name);
    reply_string(b, "created", t->created);
    reply_string(b, "expires", t->expires);
    reply_close(b, '}');
}

int handle_tokens_list(struct request *rq, struct err *err)
{
    (void)err;
    const struct token *t;
    reply_open(&rq->out, NULL, '{');
    reply_open(&rq->out, "items", '[');
    for (struct mirror_iter i = mirror_of(operator_mirror(api_of(rq)->op), &token_schema, NULL);
         (t = mirror_each(&i));) {
        if (mine(rq, t))
            add_token(&rq->out, i.parts[0].ptr, t, NULL);
    }
    reply_close(&rq->out, ']');
    reply_close(&rq->out, '}');
    return 0;
}

struct new_token {
    const char *name, *hash, *user;
    int64_t ttl;
    struct token ret;
};

static int create(struct change *c, void *arg, struct err *err)
{
    struct new_token *n = arg;
    _cleanup_free_ char *user_key = key_user(n->user);
    _cleanup_(user_release) struct user u = {0};
    int r = change_read(c, user_key, &user_schema, &u, err);
    if (r == -ERR_NOT_FOUND)
        return err_set(err, ERR_NOT_FOUND, "there is no user '%s'", n->user);
    if (r < 0)
        return r;
    char expires[TIME_TEXT_LEN + 1] = "";
    if (n->ttl)
        time_rfc3339(time_wall_us() + n->ttl * 1000000, expires);
    struct token t = {
        .user = (char *)n->user, .name = (char *)n->name, .created = c->now, .expires = expires};
    _cleanup_free_ char *key = key_token(n->hash);
    change_new(c, key, &token_schema, &t);
    buf_addf(&c->detail, "%.*s %s", TOKEN_ID_LEN, n->hash, n->name);
    model_release(&token_schema, &n->ret);
    model_copy(&token_schema, &t, &n->ret);
    return 0;
}

static int check_name(const char *name, struct err *err)
{
    size_t n = strlen(name);
    bool ok = n > 0 && n <= TOKEN_NAME_MAX;
    for (size_t i = 0; ok && i < n; i++)
        ok = (unsigned char)name[i] >= ' ' && name[i] != 127;
    return ok ? 0
              : err_set(err, ERR_INVALID, "a token's name has 1 to %d printable characters",
                        TOKEN_NAME_MAX);
}

static int check_ttl(int64_t s, struct err *err)
{
    if (s <= TTL_MAX)
        return 0;
    return err_set(err, ERR_INVALID, "a token holds for at most ten years, or until it is revoked");
}

/* Your own, unless the body names somebody else and you are an admin. */
static int choose_user(struct request *rq, const json_t *body, const char **ret, struct err *err)
{
    *ret = rq->who.user;
    if (!json_object_get(body, "user"))
        return 0;
    int r = body_string(body, "user", ret, err);
    if (r < 0 || (r = user_name_check(*ret, err)) < 0)
        return r;
    return streq(*ret, rq->who.user) ? 0 : identity_need(&rq->who, ROLE_ADMIN, err);
}

int handle_tokens_create(struct request *rq, struct err *err)
{
    _cleanup_(body_release) json_t *body = NULL;
    struct new_token n = {0};
    int r = body_object(buf_str(&rq->body), &body, err);
    if (r < 0 || (r = body_only(body, err, "name", "ttl", "user", NULL)) < 0 ||
        (r = body_string(body, "name", &n.name, err)) < 0 || (r = check_name(n.name, err)) < 0 ||
        (r = body_int(body, "ttl", 0, INT64_MAX, 0, &n.ttl, err)) < 0 ||
        (r = check_ttl(n.ttl, err)) < 0 || (r = choose_user(rq, body, &n.user, err)) < 0)
        return r;
    uint8_t secret[TOKEN_BYTES];
    char text[2 * TOKEN_BYTES + 1], hash[TOKEN_HASH_LEN + 1];
    random_bytes(secret, sizeof(secret));
    hex_encode(secret, sizeof(secret), text);
    token_hash(str_of(text), hash);
    n.hash = hash;
    r = change_make(api_of(rq), &rq->who, "token.create", NULL, create, &n, err);
    if (r < 0)
        return r;
    rq->status = MHD_HTTP_CREATED;
    add_token(&rq->out, hash, &n.ret, text);
    token_release(&n.ret);
    return 0;
}

static int drop(struct change *c, void *arg, struct err *err)
{
    const char *key = arg;
    struct str hash;
    _cleanup_(token_release) struct token t = {0};
    int r = change_read(c, key, &token_schema, &t, err);
    if (r < 0)
        return r;
    change_delete(c, key);
    key_is(&token_schema, key, &hash);
    buf_addf(&c->detail, "%.*s %s", TOKEN_ID_LEN, hash.ptr, t.name ? t.name : "");
    return 0;
}

int handle_tokens_delete(struct request *rq, struct err *err)
{
    const char *id = request_param(rq, "id");
    _cleanup_free_ char *key = NULL;
    const struct token *t;
    for (struct mirror_iter i = mirror_of(operator_mirror(api_of(rq)->op), &token_schema, NULL);
         (t = mirror_each(&i));)
        if (strlen(id) >= TOKEN_ID_LEN && str_starts(i.parts[0], str_of(id)) && mine(rq, t) && !key)
            key = xstrdup(i.key);
    if (!key) {
        err_set(err, ERR_NOT_FOUND, "you have no token '%.64s'", id);
        return err_hint(err, "davit tokens lists them");
    }
    rq->status = MHD_HTTP_NO_CONTENT;
    return change_make(api_of(rq), &rq->who, "token.delete", NULL, drop, key, err);
}
