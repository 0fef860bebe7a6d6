#include "gateway/errors.h"

#include <stddef.h>

static const struct {
    const char *code, *text, *hint;
} errors[] = {[GATEWAY_OK] = {NULL, "", ""},
#define X(code, status, text, hint) [GATEWAY_##code] = {#code, text, hint},
              GATEWAY_ERRORS(X)
#undef X
};

const char *gateway_error_code(enum gateway_error e) { return errors[e].code; }
const char *gateway_error_text(enum gateway_error e) { return errors[e].text; }
const char *gateway_error_hint(enum gateway_error e) { return errors[e].hint; }
