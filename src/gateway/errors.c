#include "gateway/errors.h"

#include <stddef.h>

static const struct {
    const char *code, *text;
} errors[] = {[GATEWAY_OK] = {NULL, ""},
#define X(code, status, text) [GATEWAY_##code] = {#code, text},
              GATEWAY_ERRORS(X)
#undef X
};

const char *gateway_error_code(enum gateway_error e) { return errors[e].code; }
const char *gateway_error_text(enum gateway_error e) { return errors[e].text; }
