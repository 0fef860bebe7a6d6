#include "pact/status.h"

#include "pact/lines.h"

static const char *const states[] = {
#define X(name, text) text,
    SHIM_STATES(X)
#undef X
};

#define AT(name) #name, .offset = offsetof(struct status, name)
#define STATE(name) {AT(name), .kind = LINE_WORD, .max = SHIM_STOPPED, .words = states},
#define NUMBER(name, most) {AT(name), .kind = LINE_NUMBER, .max = most},
#define MAYBE(name, none, most) {AT(name), .kind = LINE_MAYBE, .standard = none, .max = most},
#define TEXT(name) {AT(name), .kind = LINE_TEXT},
static const struct line rows[] = {PACT_STATUS(STATE, NUMBER, MAYBE, TEXT)};
static const struct lines table = {"status", rows, ARRAY_LEN(rows)};

void pact_status_init(struct status *s) { lines_init(&table, s); }
void pact_status_release(struct status *s) { lines_release(&table, s); }

void pact_status_format(const struct status *s, struct buf *ret) { lines_format(&table, s, ret); }

void pact_status_parse(struct str text, struct status *ret)
{
    pact_status_init(ret);
    lines_parse(&table, text, false, ret, NULL);
}

const char *shim_state_name(enum shim_state state) { return states[state]; }
