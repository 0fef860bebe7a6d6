#include "pact/spec.h"

#include "pact/lines.h"

#define AT(member) .offset = offsetof(struct spec, member)
#define TEXT(name, need) {#name, LINE_TEXT, AT(name), .required = need},
#define LIST(name, member) {#name, LINE_LIST, AT(member), .required = true},
#define NUMBER(name, standard, min, max) {#name, LINE_NUMBER, AT(name), false, standard, min, max},
#define WORD(name, type, standard, ...)                                                            \
    {#name, LINE_WORD, AT(name), false, standard, 0, 1, (const char *const[]){__VA_ARGS__}},
static const struct line rows[] = {PACT_SPEC(TEXT, LIST, NUMBER, WORD)};
static const struct lines table = {"spec", rows, ARRAY_LEN(rows)};

void pact_spec_init(struct spec *s) { lines_init(&table, s); }
void pact_spec_release(struct spec *s) { lines_release(&table, s); }

static int check(const struct spec *s, struct err *err)
{
    int r = lines_check(&table, s, err);
    if (!r && s->bridge && (!s->ip || !s->hostif))
        r = err_set(err, ERR_INVALID, "spec: a bridge needs \"ip\" and \"hostif\"");
    return r;
}

int pact_spec_format(const struct spec *s, struct buf *ret, struct err *err)
{
    int r = check(s, err);
    if (r < 0)
        return r;
    lines_format(&table, s, ret);
    return buf_check(ret, "spec", err);
}

int pact_spec_parse(struct str text, struct spec *ret, struct err *err)
{
    struct spec s;
    pact_spec_init(&s);
    int r = lines_parse(&table, text, true, &s, err);
    if (!r)
        r = check(&s, err);
    if (r < 0)
        pact_spec_release(&s);
    else
        *ret = s;
    return r;
}

void pact_spec_recall(struct str text, struct spec *ret)
{
    pact_spec_init(ret);
    lines_parse(&table, text, false, ret, NULL);
}
