#include "model/nouns.h"

#include <inttypes.h>

/* clang-format off */
#define ENUM(enum_name) const char *const enum_name##_names[] = {
#define VALUE(value, text, doc) text,
#define END_ENUM(enum_name) NULL};
#include "model/tbl/all.h"

#define ENUM(enum_name) static const char *const enum_name##_docs[] = {
#define VALUE(value, text, doc) doc,
#define END_ENUM(enum_name) NULL};
#include "model/tbl/all.h"

#define NOUN(noun, doc) static const struct field noun##_fields[] = {
#define AT(noun, member, text) .name = #member, .doc = text, .offset = offsetof(struct noun, member)
#define FIELD(noun, kind, member, doc) {AT(noun, member, doc), .type = FIELD_##kind},
#define NEEDED(noun, kind, member, doc) {AT(noun, member, doc), .type = FIELD_##kind, .required = true},
#define CHOICE(noun, enum_name, member, doc) {AT(noun, member, doc), .type = FIELD_ENUM, .required = true, \
                                              .names = enum_name##_names, .docs = enum_name##_docs},
#define LIST(noun, what, member, doc) {AT(noun, member, doc), .type = FIELD_LIST, .of = &what##_schema},
#define END(noun) {0}};
#include "model/tbl/all.h"

#define NOUN(noun, doc) static const struct writer noun##_writers[] = {
/* Without fields: none behind the first NULL. cppcheck knows no __VA_OPT__. */
#define WRITER(operator, may, ...) {#operator, may, (const char *const[]){NULL, ##__VA_ARGS__, NULL} + 1},
#define END(noun) {0}};
#include "model/tbl/all.h"

#define NOUN(noun, doc) static const struct transition noun##_transitions[] = {
#define TRANSITION(operator, from, to) {#operator, from, to},
#define END(noun) {0}};
#include "model/tbl/all.h"

#define NOUN(name, text) const struct schema name##_schema = { \
    .noun = #name, .doc = text, .size = sizeof(struct name), .fields = name##_fields, .writers = name##_writers, \
    .transitions = name##_transitions,
#define KEY(noun, format, params, ...) .key = format, .key_params = #params,
#define END(noun) };
#include "model/tbl/all.h"

const struct schema *const nouns[] = {
#define END(noun) &noun##_schema,
#include "model/tbl/all.h"
    NULL};

#define KEY(noun, format, params, ...) char *key_##noun params { return xasprintf(format, ##__VA_ARGS__); }
#include "model/tbl/all.h"
/* clang-format on */

const char *const remains_operators[] = {"gateway", "run", "builder", "api", NULL};

/* Behind the conversion that begins at `format`. */
static const char *behind(const char *format) { return strpbrk(format, "sd") + 1; }

bool key_is(const struct schema *noun, const char *key, struct str *parts)
{
    const char *format = noun->key;
    while (*format) {
        if (*format != '%') {
            if (*key++ != *format++)
                return false;
            continue;
        }
        size_t n = strcspn(key, "/");
        if (!n)
            return false;
        if (parts)
            *parts++ = (struct str){key, n};
        key += n;
        format = behind(format);
    }
    return !*key;
}

char *key_prefix(const struct schema *noun, const char *first)
{
    int fixed = (int)strcspn(noun->key, "%");
    if (!first)
        return xasprintf("%.*s", fixed, noun->key);
    const char *rest = behind(noun->key + fixed);
    return xasprintf("%.*s%s%.*s", fixed, noun->key, first, (int)strcspn(rest, "%"), rest);
}

char *key_below(const char *key) { return xasprintf("%s/", key); }

void key_describe(const struct schema *noun, struct buf *ret)
{
    const char *param = noun->key_params;
    for (const char *format = noun->key; *format;) {
        if (*format != '%') {
            buf_addc(ret, *format++);
            continue;
        }
        /* The last word of "const char *app" or "int64_t number". */
        size_t end = strcspn(param, ",)"), start = end;
        while (start && param[start - 1] >= '_')
            start--;
        for (; start < end; start++)
            buf_addc(ret, (char)(param[start] & ~0x20));
        param += end + 1;
        format = behind(format);
    }
}

bool process_type_is_phase(const char *type)
{
    return streq(type, RELEASE_PHASE) || streq(type, POSTDEPLOY);
}

const struct process *release_process(const struct release *r, const char *type)
{
    for (size_t i = 0; i < r->processes.n; i++)
        if (streq(list_at(&r->processes, const struct process, i)->type, type))
            return list_at(&r->processes, const struct process, i);
    return NULL;
}

bool build_is_finished(const struct build_status *s)
{
    return s && s->state != BUILD_QUEUED && s->state != BUILD_RUNNING;
}

void releases_retained(const int64_t *numbers, const int *states, size_t n, int64_t current,
                       int64_t retain, bool *keep)
{
    for (size_t i = n; i-- > 0;) {
        bool counts = states[i] != RELEASE_FAILED && retain > 0;
        keep[i] = counts || numbers[i] >= current;
        retain -= counts;
    }
}
