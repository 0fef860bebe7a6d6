#include "api/openapi.h"

#include "api/handlers.h"

static const char head[] =
    "# Generated from src/api/routes.h by `davit-openapi`; don't edit.\n"
    "openapi: 3.1.0\n"
    "info:\n"
    "  title: Davit\n"
    "  version: \"1\"\n"
    "  description: >-\n"
    "    Everything is JSON, but for the streams, which are text, chunked, each line sent as it "
    "comes.\n"
    "    On run/davit/davit.sock the peer's uid says who asks; through the gateway a token does.\n"
    "security:\n"
    "  - token: []\n";

static const char tail[] = "components:\n"
                           "  securitySchemes:\n"
                           "    token: {type: http, scheme: bearer}\n"
                           "  responses:\n"
                           "    error:\n"
                           "      description: What went wrong, and what to do\n"
                           "      content:\n"
                           "        application/json:\n"
                           "          schema:\n"
                           "            type: object\n"
                           "            required: [code, message, hint]\n"
                           "            properties:\n"
                           "              code: {type: string, enum: [";

/* A YAML scalar in double quotes. */
static void add_quoted(struct buf *b, const char *text)
{
    buf_addc(b, '"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            buf_addc(b, '\\');
        buf_addc(b, *text);
    }
    buf_addc(b, '"');
}

static void add_params(struct buf *b, const char *path)
{
    if (!strchr(path, '{'))
        return;
    buf_adds(b, "      parameters:\n");
    for (const char *p = strchr(path, '{'); p; p = strchr(p + 1, '{'))
        buf_addf(b, "        - {name: %.*s, in: path, required: true, schema: {type: string}}\n",
                 (int)strcspn(p + 1, "}"), p + 1);
}

/* What the last column begins with tells its kind. */
static const char *media_type(const char *body)
{
    if (streq(body, "tar"))
        return "application/x-tar";
    if (str_starts(str_of(body), STR("text stream")))
        return "text/plain";
    if (streq(body, "YAML"))
        return "application/yaml";
    return "application/json";
}

static void add_body(struct buf *b, const char *indent, const char *body)
{
    buf_addf(b, "%scontent:\n%s  %s:\n%s    schema: {description: ", indent, indent,
             media_type(body), indent);
    add_quoted(b, body);
    buf_adds(b, "}\n");
}

static void add_route(struct buf *b, const struct route *r)
{
    _cleanup_free_ char *method = xstrdup(r->method);
    for (char *c = method; *c; c++)
        *c = (char)(*c | 0x20);
    buf_addf(b, "    %s:\n      operationId: %s\n      summary: ", method, r->name);
    add_quoted(b, r->summary);
    buf_addf(b, "\n      x-davit-role: %s\n", role_names[r->role]);
    add_params(b, r->path);
    if (!streq(r->request, "-")) {
        buf_adds(b, "      requestBody:\n");
        add_body(b, "        ", r->request);
    }
    buf_adds(b, "      responses:\n");
    if (streq(r->response, "-")) {
        buf_adds(b, "        \"204\": {description: Done}\n");
    } else {
        buf_adds(b, "        \"2XX\":\n          description: Done\n");
        add_body(b, "          ", r->response);
    }
    buf_adds(b, "        default: {$ref: \"#/components/responses/error\"}\n");
}

/* Whether this path was already written with an earlier route. */
static bool seen(const struct route *r)
{
    for (const struct route *before = api_routes; before < r; before++)
        if (streq(before->path, r->path))
            return true;
    return false;
}

void openapi_write(struct buf *ret)
{
    buf_adds(ret, head);
    buf_adds(ret, "paths:\n");
    for (const struct route *r = api_routes; r->path; r++) {
        if (seen(r))
            continue;
        buf_addf(ret, "  %s:\n", r->path);
        for (const struct route *same = r; same->path; same++)
            if (streq(same->path, r->path))
                add_route(ret, same);
    }
    buf_adds(ret, tail);
    for (int code = ERR_NONE + 1; code < ERR_CODES_END; code++)
        buf_addf(ret, "%s%s", code > 1 ? ", " : "", err_code_name((enum err_code)code));
    buf_adds(ret,
             "]}\n              message: {type: string}\n              hint: {type: string}\n");
}
