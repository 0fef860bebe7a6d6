#include "api/auth.h"

#include <nettle/base64.h>
#include <pwd.h>
#include <strings.h>
#include <sys/socket.h>

#include "http/request.h"
#include "base/digest.h"
#include "base/time.h"
#include "model/names.h"

enum { AUTHORIZATION_MAX = 4096 };

void token_hash(struct str token, char ret[TOKEN_HASH_LEN + 1]) { sha256_hex(token, ret); }

/* base64(user:password) → password */
static char *password_of(const char *text)
{
    size_t n = strlen(text);
    _cleanup_free_ uint8_t *plain = xmalloc(BASE64_DECODE_LENGTH(n) + 1);
    struct base64_decode_ctx ctx;
    size_t got = BASE64_DECODE_LENGTH(n);
    base64_decode_init(&ctx);
    if (!base64_decode_update(&ctx, &got, plain, n, text) || !base64_decode_final(&ctx))
        return NULL;
    plain[got] = '\0';
    const char *colon = strchr((const char *)plain, ':');
    return colon && colon[1] ? xstrdup(colon + 1) : NULL;
}

char *token_from_header(const char *authorization)
{
    if (!authorization || strlen(authorization) > AUTHORIZATION_MAX)
        return NULL;
    if (strncasecmp(authorization, "Basic ", 6) == 0)
        return password_of(authorization + 6);
    if (strncasecmp(authorization, "Bearer ", 7) == 0 && authorization[7])
        return xstrdup(authorization + 7);
    return NULL;
}

static int unauthenticated(struct err *err, const char *why)
{
    err_set(err, ERR_UNAUTHENTICATED, "%s", why);
    return err_hint(err, "send a token as Authorization: Bearer TOKEN, or as the password; "
                         "`davit tokens create` makes one");
}

/* The role of a user; those without a record have none. */
static int role_of(struct api *api, const char *user, enum role *ret, struct err *err)
{
    _cleanup_free_ char *key = key_user(user);
    const struct user *u = mirror_get(operator_mirror(api->op), key, &user_schema, NULL);
    if (!u) {
        err_set(err, ERR_FORBIDDEN, "%s is no user of this Davit", user);
        return err_hint(err, "an admin can add them");
    }
    *ret = (enum role)u->role;
    return 0;
}

static bool has_expired(const struct token *t)
{
    _cleanup_free_ char *now = time_now_text();
    return t->expires && *t->expires && strcmp(t->expires, now) <= 0;
}

/* Whoever is let in with it goes when it ends: a pass then looks again. */
static void wake_at_end(struct api *api, const struct token *t)
{
    int64_t end = t->expires && *t->expires ? time_parse(t->expires) : -1;
    if (end >= 0)
        operator_wake_at(api->op, time_mono_ms() + (end - time_wall_us()) / 1000 + 1);
}

bool identity_holds(void *ctx, const struct identity *who)
{
    struct api *api = ctx;
    enum role role = ROLE_VIEWER;
    const struct token *t = NULL;
    if (who->token)
        t = mirror_get(operator_mirror(api->op), who->token, &token_schema, NULL);
    if (who->token && (!t || has_expired(t)))
        return false;
    if (t)
        wake_at_end(api, t);
    return who->machine || (role_of(api, who->user, &role, NULL) == 0 && role >= who->needed);
}

static int by_token(struct api *api, const char *secret, struct identity *ret, struct err *err)
{
    char hash[TOKEN_HASH_LEN + 1];
    token_hash(str_of(secret), hash);
    _cleanup_free_ char *key = key_token(hash);
    const struct token *t = mirror_get(operator_mirror(api->op), key, &token_schema, NULL);
    if (!t)
        return unauthenticated(err, "this token isn't known");
    if (has_expired(t))
        return unauthenticated(err, "this token has expired");
    int r = role_of(api, t->user, &ret->role, err);
    if (r < 0)
        return r;
    ret->user = xstrdup(t->user);
    ret->token = TAKE_PTR(key);
    wake_at_end(api, t);
    return 0;
}

static int peer_uid(struct request *rq, uid_t *ret, struct err *err)
{
    struct ucred peer;
    socklen_t n = sizeof(peer);
    if (getsockopt(request_socket(rq), SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0)
        return err_errno(err, "asking who is connected");
    *ret = peer.uid;
    return 0;
}

static int by_name(struct api *api, const char *name, struct identity *ret, struct err *err)
{
    int r = user_name_check(name, err);
    if (r < 0 || (r = role_of(api, name, &ret->role, err)) < 0)
        return r;
    ret->user = xstrdup(name);
    return 0;
}

/* What the gateway saw, or told the hook; it sets the header and never passes on a client's. */
static char *address_of(struct request *rq)
{
    const char *seen = request_header(rq, "X-Forwarded-For");
    return xstrndup(seen ? seen : "unknown", 64);
}

static int by_peer(struct api *api, struct request *rq, uid_t uid, struct identity *ret,
                   struct err *err)
{
    const char *behalf = request_header(rq, "Davit-On-Behalf-Of");
    if (behalf && uid == geteuid()) {
        free(ret->from);
        ret->from = address_of(rq);
        ret->behalf = true;
        return by_name(api, behalf, ret, err);
    }
    if (uid == 0 || uid == geteuid()) {
        ret->user = xstrdup("root");
        ret->role = ROLE_ADMIN;
        ret->machine = true;
        return 0;
    }
    struct passwd *p = getpwuid(uid);
    if (!p)
        return err_set(err, ERR_FORBIDDEN, "uid %d has no name on this machine", (int)uid);
    return by_name(api, p->pw_name, ret, err);
}

int authenticate(void *ctx, struct request *rq, struct identity *ret, struct err *err)
{
    struct api *api = ctx;
    bool local = request_door(rq) == DOOR_LOCAL;
    uid_t uid = 0;
    int r = local ? peer_uid(rq, &uid, err) : 0;
    if (r < 0)
        return r;
    ret->from = local ? xasprintf("unix:uid=%d", (int)uid) : address_of(rq);
    _cleanup_free_ char *secret = token_from_header(request_header(rq, "Authorization"));
    if (secret)
        return by_token(api, secret, ret, err);
    if (local)
        return by_peer(api, rq, uid, ret, err);
    return unauthenticated(err, "who are you?");
}
