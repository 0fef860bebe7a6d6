/* The platform itself: what it is and how much of it there is. */
#include "api/handlers.h"
#include "api/reply.h"

#include "api/openapi.h"

static int64_t count(struct request *rq, const char *prefix, const char *pattern)
{
    struct str parts[3];
    int64_t n = 0;
    for (struct mirror_iter i = mirror_iter(operator_mirror(rq->api->op), prefix); mirror_next(&i);)
        n += key_match(i.key, pattern, parts);
    return n;
}

int handle_status(struct request *rq, struct err *err)
{
    (void)err;
    const struct config *c = rq->api->config;
    reply_open(&rq->out, NULL, '{');
    reply_string(&rq->out, "version", DAVIT_VERSION);
    reply_string(&rq->out, "user", rq->who.user);
    reply_string(&rq->out, "role", role_names[rq->who.role]);
    reply_string(&rq->out, "domain", c->domain);
    reply_int(&rq->out, "http_port", c->http_port);
    reply_int(&rq->out, "https_port", c->https_port);
    reply_int(&rq->out, "apps", count(rq, "/apps/", "/apps/?"));
    reply_int(&rq->out, "instances", count(rq, "/instances/", "/instances/?/?/?"));
    reply_close(&rq->out, '}');
    return 0;
}

int handle_openapi(struct request *rq, struct err *err)
{
    (void)err;
    rq->content_type = "application/yaml";
    openapi_write(&rq->out);
    return 0;
}
