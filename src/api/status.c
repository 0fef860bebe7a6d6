/* The platform itself: what it is, how much of it there is, and whether it serves. */
#include "api/routes.h"
#include "http/reply.h"

#include "api/openapi.h"
#include "api/remains.h"
#include "operator/remains.h"

static int64_t count(struct request *rq, const struct schema *noun)
{
    int64_t n = 0;
    for (struct mirror_iter i = mirror_of(operator_mirror(api_of(rq)->op), noun, NULL);
         mirror_next(&i);)
        n++;
    return n;
}

/* What the gateway of this machine says. Nothing: it has yet to get to it. */
static void add_gateway(struct request *rq)
{
    struct op *op = api_of(rq)->op;
    _cleanup_free_ char *key = key_gateway_status(operator_node(op));
    const struct gateway_status *s =
        mirror_get(operator_mirror(op), key, &gateway_status_schema, NULL);
    json_add_open(&rq->out, "gateway", '{');
    json_add_string(&rq->out, "state", gateway_state_names[s ? s->state : GATEWAY_IS_STARTING]);
    json_add_string(&rq->out, "message", s ? s->message : NULL);
    json_add_string(&rq->out, "hint", s ? s->hint : NULL);
    json_add_close(&rq->out, '}');
}

/* Destroyed apps of which something is left, by what the api has to do last. */
static void add_remains(struct request *rq)
{
    struct api *api = api_of(rq);
    _cleanup_(strv_release) struct strv apps = {0};
    remains_of(api->op, "api", &apps);
    json_add_open(&rq->out, "removing", '[');
    for (size_t i = 0; i < apps.n; i++) {
        _cleanup_free_ char *names = remains_wait_for(api, apps.items[i]);
        json_add_open(&rq->out, NULL, '{');
        json_add_string(&rq->out, "app", apps.items[i]);
        json_add_string(&rq->out, "waits_for", names);
        json_add_close(&rq->out, '}');
    }
    json_add_close(&rq->out, ']');
}

static int status(struct request *rq, struct err *err)
{
    (void)err;
    const struct config *c = api_of(rq)->config;
    json_add_open(&rq->out, NULL, '{');
    json_add_string(&rq->out, "version", DAVIT_VERSION);
    json_add_string(&rq->out, "user", rq->who.user);
    json_add_string(&rq->out, "role", role_names[rq->who.role]);
    json_add_string(&rq->out, "domain", c->domain);
    json_add_string(&rq->out, "listen", c->listen);
    json_add_int(&rq->out, "http_port", c->http_port);
    json_add_int(&rq->out, "https_port", c->https_port);
    json_add_int(&rq->out, "apps", count(rq, &app_schema));
    json_add_int(&rq->out, "instances", count(rq, &instance_schema));
    add_gateway(rq);
    add_remains(rq);
    json_add_close(&rq->out, '}');
    return 0;
}

static int stacks_list(struct request *rq, struct err *err)
{
    (void)err;
    const struct stack *s;
    struct page p = page_begin(rq);
    struct mirror_iter i = page_of(&p, &stack_schema, NULL);
    while ((s = mirror_each(&i)) && page_item(&p, s->name))
        reply_noun(&rq->out, NULL, &stack_schema, s);
    page_end(&p);
    return 0;
}

static int openapi(struct request *rq, struct err *err)
{
    (void)err;
    rq->content_type = "application/yaml";
    openapi_write(&rq->out);
    return 0;
}

/* clang-format off */
static const struct schema
    gateway = {"gateway", .fields = (const struct field[]){
                   SHOWN(STRING, "state", "ok, starting or failing"),
                   SHOWN(STRING, "message", "why nobody is served"),
                   SHOWN(STRING, "hint", "what to do"), {0}}, .doc = "Whether the gateway serves"},
    removing = {"removing", .fields = (const struct field[]){
                    SHOWN(STRING, "app", "the app that was destroyed"),
                    SHOWN(STRING, "waits_for", "which operators are not done with it"), {0}}, .doc = "A removal that goes on"},
    shown = {"status", .fields = (const struct field[]){
                 SHOWN(STRING, "version", "of Davit"),
                 SHOWN(STRING, "user", "who asks"),
                 SHOWN(STRING, "role", "theirs"),
                 SHOWN(STRING, "domain", "apps answer at APP.DOMAIN"),
                 SHOWN(STRING, "listen", "the gateway's address"),
                 SHOWN(INT, "http_port", "its port for HTTP"),
                 SHOWN(INT, "https_port", "and for HTTPS"),
                 SHOWN(INT, "apps", "how many there are"),
                 SHOWN(INT, "instances", "how many there are"),
                 {.name = "removing", .of = &removing, .type = FIELD_LIST, .required = true}, {0}}, .doc = "The platform"};

const struct route platform_routes[] = {
    ROUTE(GET, "/v1/status", status, VIEWER, "Version, counts, whether the gateway serves", ONE(shown), .inside = &gateway, .inside_as = "gateway"),
    ROUTE(GET, "/v1/stacks", stacks_list, VIEWER, "Stacks and runtimes of this machine, and whether Debian has newer packages",
          QUERY(PAGED), LIST_OF(stack_schema)),
    ROUTE(GET, "/v1/openapi.yaml", openapi, VIEWER, "This description, OpenAPI 3.1", STREAM("application/yaml")),
    {0},
};
/* clang-format on */
