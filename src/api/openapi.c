#include "api/openapi.h"

#include "api/routes.h"

static const char head[] =
    "# Generated from the rows of src/api (routes.h) by `davit-openapi`; don't edit.\n"
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

/* --- what a request may have -------------------------------------------------------------------
 */

static void add_doc(struct buf *b, const char *doc)
{
    if (!doc)
        return;
    buf_adds(b, ", description: ");
    add_quoted(b, doc);
}

static void add_names(struct buf *b, const char *const *names)
{
    buf_adds(b, ", enum: [");
    for (size_t i = 0; names[i]; i++)
        buf_addf(b, "%s%s", i ? ", " : "", names[i]);
    buf_addc(b, ']');
}

static void add_kind(struct buf *b, const struct text_kind *k)
{
    if (k->max)
        buf_addf(b, ", maxLength: %zu", k->max);
    buf_adds(b, ", pattern: ");
    add_quoted(b, k->pattern ? k->pattern : "^[^\\x00-\\x1f\\x7f]*$");
}

static void add_param_schema(struct buf *b, const struct param *p)
{
    static const char *const types[] = {"string", "integer", "boolean"};
    buf_addf(b, p->nullable ? "{type: [%s, \"null\"]" : "{type: %s", types[p->type]);
    if (p->choices)
        add_names(b, p->choices);
    else if (p->kind)
        add_kind(b, p->kind);
    if (p->type == PARAM_NUMBER)
        buf_addf(b, ", minimum: %lld, maximum: %lld", (long long)p->min, (long long)p->max);
    if (p->type == PARAM_NUMBER && !p->required && !p->any)
        buf_addf(b, ", default: %lld", (long long)p->otherwise);
    buf_addc(b, '}');
}

static void add_param(struct buf *b, const struct param *p, const char *where)
{
    buf_addf(b, "        - {name: %s, in: %s, required: %s", p->name, where,
             streq(where, "path") ? "true" : "false");
    add_doc(b, p->doc);
    buf_adds(b, ", schema: ");
    add_param_schema(b, p);
    buf_adds(b, "}\n");
}

static void add_params(struct buf *b, const struct route *r)
{
    if (strchr(r->path, '{') || r->query)
        buf_adds(b, "      parameters:\n");
    for (const char *at = strchr(r->path, '{'); at; at = strchr(at + 1, '{')) {
        _cleanup_free_ char *name = xstrndup(at + 1, strcspn(at + 1, "}"));
        const struct param *known = param_find(api_params, name);
        static const struct text_kind component = {"^[^\\x00-\\x1f\\x7f/]+$", 255, NULL};
        add_param(b, known ? known : &(struct param){.name = name, .kind = &component}, "path");
    }
    for (const struct param *p = r->query; p && p->name; p++)
        add_param(b, p, "query");
}

static void add_fields(struct buf *b, const struct param *fields)
{
    buf_adds(b, "        content:\n          application/json:\n            schema:\n"
                "              type: object\n");
    if (fields->any) {
        buf_adds(b, "              minProperties: 1\n              propertyNames: {type: string");
        add_kind(b, fields->names);
        buf_adds(b, "}\n              additionalProperties: ");
        add_param_schema(b, fields);
        buf_addc(b, '\n');
        return;
    }
    buf_adds(b, "              additionalProperties: false\n");
    const char *before = "              required: [";
    for (const struct param *p = fields; p->name; p++)
        if (p->required) {
            buf_adds(b, before);
            add_quoted(b, p->name);
            before = ", ";
        }
    buf_adds(b, before[0] == ',' ? "]\n" : "");
    buf_adds(b, "              properties:\n");
    for (const struct param *p = fields; p->name; p++) {
        buf_adds(b, "                ");
        add_quoted(b, p->name);
        buf_adds(b, ": ");
        add_param_schema(b, p);
        b->ptr[--b->len] = '\0'; /* its brace */
        add_doc(b, p->doc);
        buf_adds(b, "}\n");
    }
}

static void add_request(struct buf *b, const struct route *r)
{
    if (!r->fields && !r->body)
        return;
    buf_addf(b, "      requestBody:\n        required: %s\n", r->fields ? "true" : "false");
    if (r->fields)
        add_fields(b, r->fields);
    else
        buf_addf(b, "        content:\n          %s: {}\n", r->body);
}

/* --- what is answered ------------------------------------------------------------------------ */

static void add_noun(struct buf *b, const struct route *r)
{
    if (!r->inside)
        return buf_addf(b, "{$ref: \"#/components/schemas/%s\"}", r->noun->noun);
    buf_addf(b,
             "{allOf: [{$ref: \"#/components/schemas/%s\"}, {type: object, properties: "
             "{%s: {$ref: \"#/components/schemas/%s\"}}}]}",
             r->noun->noun, r->inside_as ? r->inside_as : "status", r->inside->noun);
}

static void add_json(struct buf *b, const struct route *r)
{
    switch (r->reply) {
    case REPLY_NOUN: add_noun(b, r); break;
    case REPLY_LIST:
        buf_adds(b, "{type: object, required: [items], properties: {items: {type: array, items: ");
        add_noun(b, r);
        buf_adds(b, "}, next: {type: string}}}");
        break;
    case REPLY_TEXTS: buf_adds(b, "{type: object, additionalProperties: {type: string}}"); break;
    case REPLY_COUNTS: buf_adds(b, "{type: object, additionalProperties: {type: integer}}"); break;
    case REPLY_NOTHING:
    case REPLY_STREAM: break;
    }
}

static void add_reply(struct buf *b, const struct route *r)
{
    buf_addf(b, "      responses:\n        \"%u\":\n          description: Done\n", r->status);
    if (r->reply != REPLY_NOTHING)
        buf_adds(b, "          content:\n");
    if (r->reply != REPLY_NOTHING && r->reply != REPLY_STREAM) {
        buf_adds(b, "            application/json:\n              schema: ");
        add_json(b, r);
        buf_addc(b, '\n');
    }
    if (r->media)
        buf_addf(b, "            %s: {schema: {type: string}}\n", r->media);
    buf_adds(b, "        default: {$ref: \"#/components/responses/error\"}\n");
}

static void add_route(struct buf *b, const struct route *r)
{
    _cleanup_free_ char *method = xstrdup(r->method);
    for (char *c = method; *c; c++)
        *c = (char)(*c | 0x20);
    buf_addf(b, "    %s:\n      operationId: %s\n      summary: ", method, r->name);
    add_quoted(b, r->summary);
    buf_addf(b, "\n      x-davit-role: %s\n", role_names[r->role]);
    add_params(b, r);
    add_request(b, r);
    add_reply(b, r);
}

/* --- nouns ----------------------------------------------------------------------------------- */

struct nouns {
    const struct schema *items[64];
    size_t n;
};

static void collect(struct nouns *all, const struct schema *s)
{
    for (size_t i = 0; i < all->n; i++)
        if (all->items[i] == s)
            return;
    if (!s || all->n == ARRAY_LEN(all->items))
        return;
    all->items[all->n++] = s;
    for (const struct field *f = s->fields; f->name; f++)
        collect(all, f->of);
}

static void add_field(struct buf *b, const struct field *f)
{
    buf_adds(b, "        ");
    add_quoted(b, f->name);
    buf_adds(b, ": {");
    switch (f->type) {
    case FIELD_STRING: buf_adds(b, "type: string"); break;
    case FIELD_INT: buf_adds(b, "type: integer"); break;
    case FIELD_BOOL: buf_adds(b, "type: boolean"); break;
    case FIELD_ENUM:
        buf_adds(b, "type: string");
        add_names(b, f->names);
        break;
    case FIELD_STRV: buf_adds(b, "type: array, items: {type: string}"); break;
    case FIELD_MAP: buf_adds(b, "type: object, additionalProperties: {type: string}"); break;
    case FIELD_COUNTS: buf_adds(b, "type: object, additionalProperties: {type: integer}"); break;
    case FIELD_LIST:
        buf_addf(b, "type: array, items: {$ref: \"#/components/schemas/%s\"}", f->of->noun);
        break;
    }
    add_doc(b, f->doc);
    buf_adds(b, "}\n");
}

static void add_schema(struct buf *b, const struct schema *s)
{
    buf_addf(b, "    %s:\n      type: object\n      description: ", s->noun);
    add_quoted(b, s->doc);
    const char *before = "\n      required: [";
    for (const struct field *f = s->fields; f->name; f++)
        if (f->required || f->type == FIELD_ENUM) {
            buf_adds(b, before);
            add_quoted(b, f->name);
            before = ", ";
        }
    buf_addf(b, "%s\n      properties:\n", before[0] == ',' ? "]" : "");
    for (const struct field *f = s->fields; f->name; f++)
        add_field(b, f);
}

static void add_components(struct buf *b)
{
    struct nouns all = {.n = 0};
    for (const struct route *const *table = api_routes; *table; table++)
        for (const struct route *r = *table; r->path; r++) {
            collect(&all, r->noun);
            collect(&all, r->inside);
        }
    buf_adds(b, "components:\n"
                "  securitySchemes:\n"
                "    token: {type: http, scheme: bearer}\n"
                "  responses:\n"
                "    error:\n"
                "      description: What went wrong, and what to do\n"
                "      content:\n"
                "        application/json: {schema: {$ref: \"#/components/schemas/error\"}}\n"
                "  schemas:\n"
                "    error:\n"
                "      type: object\n"
                "      required: [code, message, hint]\n"
                "      properties:\n"
                "        code: {type: string, enum: [");
    for (int code = ERR_NONE + 1; code < ERR_CODES_END; code++)
        buf_addf(b, "%s%s", code > 1 ? ", " : "", err_code_name((enum err_code)code));
    buf_adds(b, "]}\n        message: {type: string}\n        hint: {type: string}\n");
    for (size_t i = 0; i < all.n; i++)
        add_schema(b, all.items[i]);
}

/* --- all of it ------------------------------------------------------------------------------- */

/* Routes of one path stand in one table, one behind the other or not. */
static bool seen(const struct route *table, const struct route *r)
{
    for (const struct route *before = table; before < r; before++)
        if (streq(before->path, r->path))
            return true;
    return false;
}

void openapi_write(struct buf *ret)
{
    buf_adds(ret, head);
    buf_adds(ret, "paths:\n");
    for (const struct route *const *table = api_routes; *table; table++)
        for (const struct route *r = *table; r->path; r++) {
            if (seen(*table, r))
                continue;
            buf_addf(ret, "  %s:\n", r->path);
            for (const struct route *same = r; same->path; same++)
                if (streq(same->path, r->path))
                    add_route(ret, same);
        }
    add_components(ret);
}
