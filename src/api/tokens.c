/* Tokens: 256 random bits, shown once, stored as their SHA-256. */
#include "api/change.h"
#include "api/routes.h"
#include "http/reply.h"
#include "base/time.h"
#include "model/names.h"

enum { TOKEN_NAME_MAX = 64 };
#define TTL_MAX (10LL * 366 * 86400)

static bool mine(const struct request *rq, const struct token *t)
{
    return t && t->user && streq(t->user, rq->who.user);
}

static void add_token(struct buf *b, const char *hash, const struct token *t, const char *secret)
{
    _cleanup_free_ char *id = xstrndup(hash, TOKEN_ID_LEN);
    json_add_open(b, NULL, '{');
    if (secret)
        json_add_string(b, "token", secret);
    json_add_string(b, "id", id);
    json_add_string(b, "user", t->user);
    json_add_string(b, "name", t->name);
    json_add_string(b, "created", t->created);
    json_add_string(b, "expires", t->expires);
    json_add_close(b, '}');
}

static int tokens_list(struct request *rq, struct err *err)
{
    (void)err;
    const struct token *t;
    struct page p = page_begin(rq);
    struct mirror_iter i = page_of(&p, &token_schema, NULL);
    while ((t = mirror_each(&i))) {
        if (!mine(rq, t))
            continue;
        if (!page_item(&p, i.parts[0].ptr))
            break;
        add_token(&rq->out, i.parts[0].ptr, t, NULL);
    }
    page_end(&p);
    return 0;
}

struct new_token {
    const char *name, *hash, *user;
    int64_t ttl;
    struct token ret;
};

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

/* Your own, unless the body names somebody else and you are an admin. */
static int choose_user(struct request *rq, const char **ret, struct err *err)
{
    const char *other = body_text(rq, "user");
    *ret = other ? other : rq->who.user;
    return streq(*ret, rq->who.user) ? 0 : identity_need(&rq->who, ROLE_ADMIN, err);
}

static int tokens_create(struct request *rq, struct err *err)
{
    struct new_token n = {.name = body_text(rq, "name"), .ttl = body_number(rq, "ttl")};
    int r = choose_user(rq, &n.user, err);
    if (r < 0)
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

static int tokens_delete(struct request *rq, struct err *err)
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
    return change_make(api_of(rq), &rq->who, "token.delete", NULL, drop, key, err);
}

/* clang-format off */
#define TOKEN                                                                                      \
    SHOWN(STRING, "id", "the first 12 hex digits of its hash"),                                    \
    SHOWN(STRING, "user", "whose it is"),                                                          \
    SHOWN(STRING, "name", "what for"),                                                             \
    SHOWN(STRING, "created", "when"),                                                              \
    SHOWN(STRING, "expires", "when it ends; empty: never")
static const struct schema
    token_shown = {"token", .fields = (const struct field[]){TOKEN, {0}}, .doc = "A token"},
    token_created = {"token_created", .fields = (const struct field[]){
                         SHOWN(STRING, "token", "the token itself, shown this once"), TOKEN, {0}}, .doc = "A new token"};

const struct route token_routes[] = {
    ROUTE(GET, "/v1/tokens", tokens_list, VIEWER, "Your tokens", QUERY(PAGED), LIST_OF(token_shown)),
    ROUTE(POST, "/v1/tokens", tokens_create, DEVELOPER, "A new token; shown once",
          FIELDS({"name", "what for", .kind = &(const struct text_kind){"^[^\\x00-\\x1f\\x7f]+$", TOKEN_NAME_MAX, check_name}, .required = true},
                 {"ttl", "seconds; 0: until it is revoked", PARAM_NUMBER, .max = TTL_MAX},
                 {"user", "for somebody else, by an admin", .kind = &kind_user}),
          CREATED(token_created)),
    ROUTE(DELETE, "/v1/tokens/{id}", tokens_delete, VIEWER, "Revoke a token", NOTHING),
    {0},
};
/* clang-format on */
