#include "model/openapi.h"

#include "base/json.h"

static void add_text(struct buf *b, const char *name, const char *text)
{
    if (!text)
        return;
    buf_addf(b, ",\"%s\":", name);
    json_quote(b, str_of(text));
}

static void add_values(const struct field *f, struct buf *ret)
{
    buf_adds(ret, ",\"enum\":");
    for (size_t i = 0; f->names[i]; i++) {
        buf_addc(ret, i ? ',' : '[');
        json_quote(ret, str_of(f->names[i]));
    }
    buf_addc(ret, ']');
}

/* What a field means and, of an enum, each of its values. */
static void add_doc(const struct field *f, struct buf *ret)
{
    _cleanup_(buf_release) struct buf doc = BUF_INIT;
    buf_adds(&doc, f->doc ? f->doc : f->name);
    for (size_t i = 0; f->docs && f->docs[i]; i++)
        buf_addf(&doc, "%s%s: %s", i ? "; " : ". ", f->names[i], f->docs[i]);
    add_text(ret, "description", doc.ptr);
}

static void add_field(const struct field *f, struct buf *ret)
{
    static const char *const types[] = {
        [FIELD_STRING] = "\"string\"",
        [FIELD_INT] = "\"integer\"",
        [FIELD_BOOL] = "\"boolean\"",
        [FIELD_ENUM] = "\"string\"",
        [FIELD_STRV] = "\"array\",\"items\":{\"type\":\"string\"}",
        [FIELD_MAP] = "\"object\",\"additionalProperties\":{\"type\":\"string\"}",
        [FIELD_COUNTS] = "\"object\",\"additionalProperties\":{\"type\":\"integer\"}",
        [FIELD_LIST] = "\"array\"",
    };
    buf_addf(ret, "\"%s\":{\"type\":%s", f->name, types[f->type]);
    if (f->type == FIELD_LIST)
        buf_addf(ret, ",\"items\":{\"$ref\":\"#/components/schemas/%s\"}", f->of->noun);
    if (f->type == FIELD_ENUM)
        add_values(f, ret);
    add_doc(f, ret);
    buf_addc(ret, '}');
}

void model_openapi(const struct schema *s, struct buf *ret)
{
    bool any = false;
    buf_adds(ret, "{\"type\":\"object\"");
    add_text(ret, "description", s->doc);
    for (const struct field *f = s->fields; f->name; f++)
        if (f->required) {
            buf_addf(ret, "%s\"%s\"", any ? "," : ",\"required\":[", f->name);
            any = true;
        }
    buf_adds(ret, any ? "],\"properties\":{" : ",\"properties\":{");
    for (const struct field *f = s->fields; f->name; f++) {
        if (f > s->fields)
            buf_addc(ret, ',');
        add_field(f, ret);
    }
    buf_adds(ret, "}}");
}
